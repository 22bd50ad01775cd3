package schedule

// Each transport has a pool of recipient slots (<transport>_recipient_limit),
// which says how many recipients of messages that do not fit into memory may be
// read for it. The slots go along the jobs in the order of arrival: the first
// job whose message has unread recipients gets all that are free. A job that
// overtakes gets some of <transport>_extra_recipient_limit beyond them: the pool
// may be that far below zero. A job keeps its slots until its message is read
// (SCHEDULER_README, "dealing with memory resource limits").

// giveSlots gives all free slots to the first job with unread recipients.
func (t *transport) giveSlots() {
	if t.freeSlots > 0 && t.unread.len() > 0 {
		j := t.unread.top()
		t.addSlots(j, t.freeSlots)
		t.freeSlots = 0
	}
}

func (t *transport) addSlots(j *job, n int) {
	j.slots += n
	j.message.slots += n
}

// takeSlots takes n slots of a job back to the pool.
func (t *transport) takeSlots(j *job, n int) {
	if n <= 0 {
		return
	}
	t.addSlots(j, -n)
	t.freeSlots += n
	t.giveSlots()
}

// joinUnread enters a job whose message has unread recipients. Should it come
// before the one that holds the free slots, that one gives back what it does
// not use.
func (t *transport) joinUnread(j *job) {
	if t.unread.len() > 0 && olderFirst(j, t.unread.top()) {
		holder := t.unread.top()
		t.unread.put(j)
		t.takeSlots(holder, holder.slots-holder.inCore)
	} else {
		t.unread.put(j)
	}
	t.giveSlots()
}

// leaveUnread is called when all recipients of the job's message are read.
func (t *transport) leaveUnread(j *job) {
	t.unread.take(j)
	t.takeSlots(j, j.slots-j.inCore)
	t.giveSlots()
}

// grantExtra gives half of the remaining slots to a job that overtakes, so that
// it need not read its recipients in the smallest batches.
func (t *transport) grantExtra(j *job) {
	n := (t.freeSlots + t.params.extraRecipients + 1) / 2
	t.freeSlots -= n
	t.addSlots(j, n)
}

// releaseSlots is called when recipients of a job have left memory. One whose
// message is read keeps no more slots than recipients.
func (t *transport) releaseSlots(j *job) {
	if j.message.next == 0 {
		t.takeSlots(j, j.slots-j.inCore)
	}
}
