package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"strings"
	"time"

	"posthaste/test/harness"
)

// backlogMain relays new mail to the sink; what is in the backlog goes to a host
// that does not answer.
const backlogMain = `relayhost =
default_transport = smtp:[127.0.0.1]:1
transport_maps = inline:{ { sink.example.test = smtp:[127.0.0.1]:@SINK@ }, { many.example.test = discard: } }
smtpd_recipient_limit = 10000000
smtpd_timeout = 300s
message_size_limit = 200000000
mailbox_size_limit = 0
virtual_mailbox_limit = 0
mydestination =
local_recipient_maps =
smtpd_client_connection_count_limit = 0
default_process_limit = 200
in_flow_delay = 0
`

// dueOf is how many of n messages are due at the start.
func dueOf(n int) int { return n / 100 }

// backlogDisk is the size of a file system for n deferred messages, with one
// file each and one for the log, and room for what else is measured.
func backlogDisk(n int) (size int64, options []string) {
	return int64(n)*12<<10 + 2<<30, []string{"-i", "4096"}
}

// trial is one measurement of a long queue.
type trial struct {
	stage                   *stage
	count, rounds, messages int
	sink                    *sink
	sent                    int // messages that the sink must have got
	full, empty             *harness.Instance
	rows                    []backlogRow
	lines                   [2]uint64 // of the listing, by sum of their hashes: ours and Postfix's
	seed                    maphash.Seed
	peak                    float64
}

// backlogRow is one line of the table; a figure of 0 was not measured.
type backlogRow struct {
	what          string
	ours, postfix float64
	unit          string
	target        string
}

// runBacklog measures both systems, or only one of them.
func runBacklog(st *stage, count, rounds, messages int, only string) error {
	d := st.volume
	if d == nil {
		return errors.New("-deferred needs root and a -disk")
	}
	t := &trial{stage: st, count: count, rounds: rounds, messages: messages, seed: maphash.MakeSeed()}
	var err error
	if t.sink, err = startSink(); err != nil {
		return err
	}
	defer t.sink.stop()
	for _, i := range []**harness.Instance{&t.full, &t.empty} {
		*i, err = st.begin(harness.Config{System: harness.Ours, Main: backlogMain,
			Values: map[string]string{"SINK": fmt.Sprint(t.sink.port)}})
		if err != nil {
			return err
		}
		defer (*i).Stop()
		if err := (*i).Halt(); err != nil { // the directories are made
			return err
		}
	}
	if err := t.fill(); err != nil {
		return err
	}
	var steps []func() error
	if only != string(harness.Postfix) {
		steps = append(steps, d.forget, t.start, t.listings, t.throughput, t.recipients)
	}
	if only != string(harness.Ours) {
		steps = append(steps, d.forget, t.theirs)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			t.print() // what was measured so far took long
			return fmt.Errorf("%w\n%s", err, tail(t.full.LogText()))
		}
	}
	t.print()
	return nil
}

// bar shows how far something has come.
func bar(what string, done, all int) {
	const width = 40
	full := width * done / max(all, 1)
	fmt.Fprintf(os.Stderr, "\r\033[K%s: [%s%s] %d of %d ", what, strings.Repeat("#", full), strings.Repeat(".", width-full), done, all)
}

// fill makes the backlog.
func (t *trial) fill() error {
	owner, _ := harness.Owner()
	uid, err := ownerID(owner)
	if err != nil {
		return err
	}
	b := &backlog{spool: t.full.Spool, owner: uid, count: t.count, due: dueOf(t.count)}
	start := time.Now()
	err = b.make(func(done int) { bar("making the queue", done, t.count) })
	fmt.Fprintf(os.Stderr, "\r\033[Kthe queue of %d messages was made in %v\n", t.count, time.Since(start).Round(time.Second))
	return err
}

// start measures the time from the command that starts the system to the first
// delivery of a new message, with nothing of the queue in memory.
func (t *trial) start() error {
	begun := time.Now()
	if err := t.full.Start(); err != nil {
		return err
	}
	took := time.Since(begun)
	if err := t.send(t.full, "first", 1, 1); err != nil {
		return err
	}
	delivered := t.sink.last().Sub(begun)
	t.add(
		backlogRow{what: "start, until the port answers", ours: took.Seconds(), unit: "s"},
		backlogRow{what: startRow, ours: delivered.Seconds(), unit: "s", target: "under 2"})
	return t.settle(t.full)
}

// send sends messages and waits until all have arrived.
func (t *trial) send(i *harness.Instance, name string, sessions, messages int) error {
	name = fmt.Sprintf("%s%d", name, t.sent)
	t.sent += messages
	if _, err := send(i.Port, newMessage(name, 4000), relaying.rcpt, sessions, messages, false); err != nil {
		return err
	}
	return t.sink.waitFor(t.sent, 2*time.Minute)
}

// settle waits until all that was due has been tried.
func (t *trial) settle(i *harness.Instance) error {
	return harness.Until(5*time.Minute, func() error {
		n := bytes.Count([]byte(i.LogText()), []byte("status=deferred"))
		bar("due messages", min(n, dueOf(t.count)), dueOf(t.count))
		if n < dueOf(t.count) {
			return fmt.Errorf("%d of %d due messages were tried", n, dueOf(t.count))
		}
		return nil
	})
}

// list runs postqueue and returns how long it took. sum is told of each line,
// unless it is nil.
func (t *trial) list(i *harness.Instance, sum func(line []byte), args ...string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := i.Command(ctx, "postqueue", args...)
	cmd.Stderr = os.Stderr
	if sum == nil {
		start := time.Now()
		err := cmd.Run()
		return time.Since(start), err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	for in := bufio.NewReaderSize(out, 1<<20); ; {
		line, err := in.ReadSlice('\n')
		if err != nil {
			break
		}
		sum(line)
	}
	return time.Since(start), cmd.Wait()
}

// times runs a listing some times and returns the median in seconds.
func (t *trial) times(i *harness.Instance, args ...string) (float64, error) {
	var all []float64
	for n := range t.rounds {
		bar(listRow(args...), n, t.rounds)
		d, err := t.list(i, nil, args...)
		if err != nil {
			return 0, err
		}
		all = append(all, d.Seconds())
	}
	return median(all), nil
}

// sum adds up the hashes of all lines of a listing, whose order is free.
func (t *trial) sum(i *harness.Instance) (d time.Duration, lines int, sum uint64, err error) {
	d, err = t.list(i, func(line []byte) { lines++; sum += maphash.Bytes(t.seed, line) }, "-j")
	return d, lines, sum, err
}

var listings = [][]string{
	{"-j"}, {"-p"},
	{"-j", "--where", "domain = " + rareDomain},
	{"-j", "--where", `reason ~ "Connection (refused|timed out)" and age > 2d`},
}

// startRow is the row of the start, and firstTime marks that of a listing after it, with
// nothing in memory.
const (
	startRow  = "start, until a new message is delivered"
	firstTime = ", the first time"
)

func listRow(args ...string) string { return "postqueue " + strings.Join(args, " ") }

// listings measures our listings while the system runs.
func (t *trial) listings() error {
	memory := watchPSS(t.full.MasterPID())
	defer func() { t.peak = max(t.peak, memory()) }()
	first, err := t.list(t.full, nil, "-j")
	if err != nil {
		return err
	}
	t.add(backlogRow{what: listRow("-j") + firstTime, ours: first.Seconds(), unit: "s"})
	for _, args := range listings {
		target := ""
		if args[0] == "-j" {
			target = "a fifth"
		}
		took, err := t.times(t.full, args...)
		if err != nil {
			return err
		}
		t.add(backlogRow{listRow(args...), took, 0, "s", target})
	}
	_, lines, sum, err := t.sum(t.full)
	if err == nil && lines != t.count {
		err = fmt.Errorf("the listing has %d lines", lines)
	}
	t.lines[0] = sum
	return err
}

// throughput measures new mail with the full and with an empty queue, in turn,
// from the start of the system on: while it looks through the queue.
func (t *trial) throughput() error {
	rates := map[*harness.Instance][]float64{}
	if err := t.full.Halt(); err != nil {
		return err
	}
	for round := range t.rounds {
		for k := range 2 {
			i := t.full
			if (round+k)%2 == 1 {
				i = t.empty
			}
			bar("throughput", 2*round+k, 2*t.rounds)
			if err := i.Start(); err != nil {
				return err
			}
			memory := watchPSS(i.MasterPID())
			begun := time.Now()
			if err := t.send(i, "load", 20, t.messages); err != nil {
				return err
			}
			rates[i] = append(rates[i], float64(t.messages)/t.sink.last().Sub(begun).Seconds())
			if peak := memory(); i == t.full {
				t.peak = max(t.peak, peak)
			}
			if err := i.Halt(); err != nil {
				return err
			}
		}
	}
	full, empty := median(rates[t.full]), median(rates[t.empty])
	t.add(
		backlogRow{what: "new messages a second, with an empty queue", ours: empty, unit: "/s"},
		backlogRow{what: "new messages a second, with this one", ours: full, unit: "/s"},
		backlogRow{what: "of that with an empty one", ours: 100 * full / empty, unit: "%", target: "90 or more"},
		backlogRow{what: "memory of all processes together, at most (PSS)", ours: t.peak, unit: "MiB", target: "under 300"})
	return nil
}

// recipients measures one message to as many recipients as the queue has
// messages.
func (t *trial) recipients() error {
	if err := t.empty.Start(); err != nil {
		return err
	}
	defer t.empty.Halt()
	memory := watchPSS(t.empty.MasterPID())
	begun := time.Now()
	bar("one message to many", 0, t.count)
	err := t.empty.SendMany(t.count, func(n int) string { return fmt.Sprintf("r%d@many.example.test", n) })
	if err != nil {
		return err
	}
	taken := time.Since(begun)
	err = harness.Until(20*time.Minute, func() error {
		n, err := t.discarded()
		bar("one message to many", min(n, t.count), t.count)
		if err == nil && n < t.count {
			err = fmt.Errorf("%d of %d recipients", n, t.count)
		}
		return err
	})
	t.add(
		backlogRow{what: fmt.Sprintf("one message to %d recipients: taken after", t.count), ours: taken.Seconds(), unit: "s"},
		backlogRow{what: "… all of them done after", ours: time.Since(begun).Seconds(), unit: "s"},
		backlogRow{what: "… memory of all processes together, at most (PSS)", ours: memory(), unit: "MiB"})
	return err
}

// discarded counts the recipients that the discard transport has dealt with.
func (t *trial) discarded() (n int, err error) {
	f, err := os.Open(t.empty.Log)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	want := []byte("@many.example.test>, relay=none")
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if bytes.Contains(lines.Bytes(), want) {
			n++
		}
	}
	return n, lines.Err()
}

// theirs measures Postfix's listings of the same directory, while it runs.
func (t *trial) theirs() error {
	i, err := t.full.As(harness.Postfix)
	if err == nil {
		err = t.stage.watch(i)
	}
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := i.Start(); err != nil {
		return err
	}
	defer i.Halt()
	if err := t.send(i, "postfix", 1, 1); err != nil {
		return err
	}
	delivered := t.sink.last().Sub(begun).Seconds()
	if t.lines[0] == 0 { // alone: nobody has tried yet what is due
		if err := t.settle(i); err != nil {
			return err
		}
	}
	first, lines, sum, err := t.sum(i)
	if err != nil {
		return err
	}
	if ours := t.lines[0]; lines != t.count || ours != 0 && ours != sum {
		return fmt.Errorf("Postfix lists %d messages, and not what we do", lines)
	}
	t.compare(startRow, delivered, "s")
	t.compare(listRow("-j")+firstTime, first.Seconds(), "s")
	for _, args := range listings[:2] {
		took, err := t.times(i, args...)
		if err != nil {
			return err
		}
		t.compare(listRow(args...), took, "s")
		for _, r := range t.rows { // it cannot select: the whole list is what there is
			if strings.HasPrefix(r.what, listRow(args...)+" --where") {
				t.compare(r.what, took, "s")
			}
		}
	}
	return nil
}

// compare takes a figure of Postfix into the row of ours, or into one of its own.
func (t *trial) compare(what string, postfix float64, unit string) {
	fmt.Fprintf(os.Stderr, "\r\033[KPostfix: %s: %.2f %s\n", what, postfix, unit)
	for i := range t.rows {
		if t.rows[i].what == what {
			t.rows[i].postfix = postfix
			return
		}
	}
	t.rows = append(t.rows, backlogRow{what: what, postfix: postfix, unit: unit})
}

// add takes rows into the table, and shows them at once: a run takes long.
func (t *trial) add(rows ...backlogRow) {
	t.rows = append(t.rows, rows...)
	for _, r := range rows {
		fmt.Fprintf(os.Stderr, "\r\033[K%s: %.2f %s\n", r.what, r.ours, r.unit)
	}
}

func (t *trial) print() {
	fmt.Fprint(os.Stderr, "\r\033[K")
	fmt.Printf("| %d deferred messages | Posthaste | Postfix | ratio | target |\n|--|--:|--:|--:|--|\n", t.count)
	figure := func(v float64, unit string) string {
		if v == 0 {
			return ""
		}
		return fmt.Sprintf("%.2f %s", v, unit)
	}
	for _, r := range t.rows {
		ratio := ""
		if r.postfix > 0 && r.ours > 0 {
			ratio = fmt.Sprintf("**%.1f**", r.postfix/r.ours)
		}
		fmt.Printf("| %s | %s | %s | %s | %s |\n", r.what, figure(r.ours, r.unit), figure(r.postfix, r.unit), ratio, r.target)
	}
}
