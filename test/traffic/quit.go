package traffic

import (
	"errors"
	"time"
)

// ErrQuit says that somebody wants a run to end.
var ErrQuit = errors.New("interrupted")

// Quit ends a run when it is closed; nil never does.
type Quit <-chan struct{}

// Wait lets time pass. Its error is ErrQuit.
func (q Quit) Wait(d time.Duration) error {
	select {
	case <-q:
		return ErrQuit
	case <-time.After(d):
		return nil
	}
}
