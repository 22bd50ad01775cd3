package queue

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The real postcat must show our files.
func TestRealPostcatReadsOurFiles(t *testing.T) {
	postcat, err := exec.LookPath("postcat")
	if err != nil {
		t.Skip("SKIPPED: the real postcat (Debian package postfix) is not installed")
	}
	q, root := newQueue(t)
	id := send(t, q, "r1@c.test", "r2@c.test")
	out, err := exec.Command(postcat, "-ov", filepath.Join(root, q.Path(Incoming, id))).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"sender: a@b.test", "recipient: r2@c.test", "Subject: hi", "*** MESSAGE FILE END"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
