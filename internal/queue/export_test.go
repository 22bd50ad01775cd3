package queue

// Tick does what Keep does once every SyncInterval, and a checkpoint when asked.
func (q *Queue) Tick(checkpoint bool) (failed error) {
	q.syncWritten(func(err error) { failed = err })
	if checkpoint && q.journal != nil {
		failed = q.journal.checkpoint()
	}
	return failed
}

// Sweep makes good what dead writers left.
func (q *Queue) Sweep() error { return q.sweep() }
