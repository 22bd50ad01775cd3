package spec

import (
	"reflect"
	"testing"
)

func TestSpec(t *testing.T) {
	want := &Spec{Role: Queue, Chroot: true, Config: []byte("a\x00b"), QueueDir: "/q", LogFile: true,
		Rows: []Row{{Name: "qmgr", Type: "unix", Listeners: []int{7, 8}}}}
	f, err := want.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := Read(f)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
}
