package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"posthaste/test/harness"
)

// variant is a kind of disk.
type variant struct {
	name    string
	kind    string // of file system
	options string // to mount it with
	mailToo bool   // the mailboxes lie on it too
	tier    string
	main    string // lines for main.cf
	unrest  bool   // before a cut the system is reloaded, or a process is killed
	blind   bool   // a negative control: syncs do nothing
	lax     bool   // a negative control: mailboxes are not synced
}

// control tells whether messages are to be lost.
func (v *variant) control() bool { return v.blind || v.lax }

// The tiers.
const (
	snapshot  = "T3" // the disk writes in order
	reordered = "T4" // disks write in any order between two flushes
)

// variants are all kinds. Where it can be had, nothing but a sync writes to the
// disk for a long time.
var variants = []variant{
	{tier: snapshot, name: "ext4", kind: "ext4", options: lazyExt4},
	{tier: snapshot, name: "ext4,mail", kind: "ext4", options: lazyExt4, mailToo: true},
	{tier: snapshot, name: "ext4,commit=5", kind: "ext4", options: "commit=5,data=ordered"},
	{tier: snapshot, name: "ext4,writeback", kind: "ext4", options: "commit=1000,data=writeback"},
	{tier: snapshot, name: "xfs,mail", kind: "xfs", options: "nouuid", mailToo: true},
	{tier: snapshot, name: "btrfs,mail", kind: "btrfs", options: "commit=300", mailToo: true},
	{tier: snapshot, name: "ext4,mail,unrest", kind: "ext4", options: lazyExt4, mailToo: true, unrest: true},
	{tier: snapshot, name: "ext4,mail,short", kind: "ext4", options: lazyExt4, mailToo: true, main: shortIDs},
	{tier: reordered, name: "2*ext4", kind: "ext4", options: lazyExt4, mailToo: true},
	{tier: reordered, name: "2*xfs", kind: "xfs", options: "nouuid", mailToo: true},
	{tier: reordered, name: "2*btrfs", kind: "btrfs", options: "commit=300", mailToo: true},
	{tier: reordered, name: "2*ext4,unrest", kind: "ext4", options: lazyExt4, mailToo: true, unrest: true},
	{tier: reordered, name: "2*xfs,unrest", kind: "xfs", options: "nouuid", mailToo: true, unrest: true},
	{tier: reordered, name: "2*btrfs,unrest", kind: "btrfs", options: "commit=300", mailToo: true, unrest: true},
	{tier: reordered, name: "2*ext4,short", kind: "ext4", options: lazyExt4, mailToo: true, main: shortIDs},
}

const (
	lazyExt4 = "commit=1000,data=ordered"
	shortIDs = "enable_long_queue_ids = no\n"
)

// available says why nothing can be done here.
func available() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("power cuts: %w: they must be started by root", harness.ErrUnavailable)
	}
	var missing []error
	for _, program := range []string{"mkfs.xfs", "mkfs.ext4", "strace"} {
		_, err := exec.LookPath(program)
		missing = append(missing, err)
	}
	for _, device := range []string{"/dev/loop-control", "/dev/fuse"} {
		_, err := os.Stat(device)
		missing = append(missing, err)
	}
	if err := errors.Join(missing...); err != nil {
		return fmt.Errorf("power cuts: %w: %w", harness.ErrUnavailable, err)
	}
	return nil
}

// known says which name is no variant's.
func known(names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(variants, func(v variant) bool { return v.name == name }) {
			return fmt.Errorf("no kind of disk is called %q", name)
		}
	}
	return nil
}

// choose finds the variants of a tier, by name or all that can be had here; skip
// is told of the others.
func choose(tier string, names []string, skip func(error)) (chosen []variant) {
	for _, v := range variants {
		switch err := v.available(); {
		case v.tier != tier:
		case len(names) == 0 && err != nil:
			skip(err)
		case len(names) == 0 || slices.Contains(names, v.name):
			chosen = append(chosen, v)
		}
	}
	return chosen
}

// available says why there is no such disk here.
func (v *variant) available() error {
	_, err := exec.LookPath("mkfs." + v.kind)
	if known, e := os.ReadFile("/proc/filesystems"); err == nil && (e != nil || !strings.Contains(string(known), "\t"+v.kind+"\n")) {
		err = errors.New("the kernel does not know it")
	}
	if err != nil {
		return fmt.Errorf("disk %s: %w", v.name, err)
	}
	return nil
}
