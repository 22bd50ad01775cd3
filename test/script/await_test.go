package script

import (
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"posthaste/test/harness"
	"posthaste/test/peer"
)

// cmdAwait waits until a new connection goes as a dialogue says: until a reload
// has taken effect. That connection stays open for smtp -keep:
//
//	await -keep NAME FILE
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 || args[0] != "-keep" || neg {
		ts.Fatalf("usage: await -keep NAME FILE")
	}
	s := sceneOf(ts)
	if s.sessions[args[1]] != nil {
		ts.Fatalf("await: there is a session %s", args[1])
	}
	script := ts.ReadFile(args[2])
	err := harness.Until(3*patience, func() error {
		session, err := peer.Dial("", s.i.Addr())
		if err != nil {
			return err
		}
		hung := time.AfterFunc(patience/2, func() { session.Close() }) // the next one may do better
		defer hung.Stop()
		if err := session.Play(script); err != nil {
			session.Close()
			return err
		}
		s.sessions[args[1]] = session
		return nil
	})
	if err != nil {
		ts.Fatalf("%s: %v\nlog:\n%s", args[2], err, s.i.LogText())
	}
}
