package schedule

// heap is a binary heap whose items know their place in it, so that any of them
// can be moved or taken out in O(log n). place must return the address of an
// integer in the item that belongs to this heap; it is one more than the index,
// and 0 when the item is outside, so that the zero value of an item is right.
type heap[T any] struct {
	items []T
	less  func(a, b T) bool
	place func(T) *int
}

func (h *heap[T]) len() int { return len(h.items) }

// top is the first item; the heap must not be empty.
func (h *heap[T]) top() T { return h.items[0] }

// put inserts x, or restores the order when x is inside and has changed.
func (h *heap[T]) put(x T) {
	at := *h.place(x) - 1
	if at < 0 {
		at = len(h.items)
		h.items = append(h.items, x)
		*h.place(x) = at + 1
	}
	if !h.down(at) {
		h.up(at)
	}
}

// take removes x; nothing happens when it is outside.
func (h *heap[T]) take(x T) {
	at := *h.place(x) - 1
	if at < 0 {
		return
	}
	last := len(h.items) - 1
	h.swap(at, last)
	*h.place(x) = 0
	var none T
	h.items[last] = none
	h.items = h.items[:last]
	if at < last && !h.down(at) {
		h.up(at)
	}
}

func (h *heap[T]) swap(a, b int) {
	h.items[a], h.items[b] = h.items[b], h.items[a]
	*h.place(h.items[a]) = a + 1
	*h.place(h.items[b]) = b + 1
}

func (h *heap[T]) up(at int) {
	for at > 0 {
		parent := (at - 1) / 2
		if !h.less(h.items[at], h.items[parent]) {
			return
		}
		h.swap(at, parent)
		at = parent
	}
}

func (h *heap[T]) down(at int) (moved bool) {
	for {
		child := 2*at + 1
		if child >= len(h.items) {
			return moved
		}
		if child+1 < len(h.items) && h.less(h.items[child+1], h.items[child]) {
			child++
		}
		if !h.less(h.items[child], h.items[at]) {
			return moved
		}
		h.swap(at, child)
		at, moved = child, true
	}
}
