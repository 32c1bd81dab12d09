package main

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Everybody who has to do with a key of a soak writes what he does into the
// key's journal, "WHAT RUN" by single appending writes: the kernel puts them in
// order. A line about something to come is written before it, one about
// something that was after it.

func (b *soakRun) note(key, what, run string) {
	if err := appendNote(b.journalDir, key, what, run); err != nil {
		b.fail(err)
	}
}

func (b *soakRun) journal(key string) []string { return lines(filepath.Join(b.journalDir, key)) }

func appendNote(place, key, what, run string) error {
	f, err := os.OpenFile(filepath.Join(place, key), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(what + " " + run + "\n")
	return errors.Join(err, f.Close())
}

// Exit statuses of work.
const (
	commandFails    = 3
	commandOverlaps = 97
	commandCannot   = 98
)

// callIdem is the command of a soak: it holds a lock of its own on its key.
func command(args []string) int {
	place, key, run := args[0], args[1], os.Getenv("IDEM_RUN_ID")
	alive, err := os.OpenFile(filepath.Join(place, "alive"), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = unix.Flock(int(alive.Fd()), unix.LOCK_SH)
	}
	var own *os.File
	if err == nil {
		own, err = os.OpenFile(filepath.Join(place, "lock."+key), os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load work:", err)
		return commandCannot
	}
	if err := unix.Flock(int(own.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = appendNote(place, key, "overlap", run)
		return commandOverlaps
	}
	// Given back before the end, at which idem's lock may go first.
	defer unix.Flock(int(own.Fd()), unix.LOCK_UN)
	if err := appendNote(place, key, "start", run); err != nil {
		return commandCannot
	}
	// Who is left over of a killed idem has no reader, and goes on.
	fmt.Printf("%s\n%s", run, strings.Repeat(".", padding(run)))
	time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
	what, code := "end", 0
	if rand.IntN(10) == 0 {
		what, code = "fail", commandFails
	}
	if err := appendNote(place, key, what, run); err != nil {
		return commandCannot
	}
	return code
}

// padding is how much a run writes: some have their output in a file.
func padding(run string) int {
	h := fnv.New32a()
	h.Write([]byte(run))
	if n := h.Sum32(); n%4 == 0 {
		return 40<<10 + int(n%1000)
	}
	return 0
}

// journalCounts are the figures of one journal.
type journalCounts struct{ starts, ends, acks int }

// checkJournal holds a journal against what idem promises: no two at once, nothing
// after an acknowledged success that was not forgotten, and every acknowledged
// run is one that came to its end.
func checkJournal(journal []string) (c journalCounts, err error) {
	var last, acked string // the last run with a good end, if it is acknowledged
	ended := map[string]bool{}
	forgetting := 0    // calls of idem forget under way
	forgotten := false // one was, since the last good end
	for i, line := range journal {
		what, run, _ := strings.Cut(line, " ")
		switch what {
		case "overlap":
			return c, fmt.Errorf("line %d: run %s found another at work", i+1, run)
		case "start":
			c.starts++
			if acked != "" && acked == last && !forgotten && forgetting == 0 {
				return c, fmt.Errorf("line %d: run %s began after the acknowledged success of %s", i+1, run, acked)
			}
		case "end":
			c.ends++
			last, ended[run], forgotten = run, true, false
		case "ack":
			c.acks++
			if !ended[run] {
				return c, fmt.Errorf("line %d: run %q is acknowledged and never came to its end", i+1, run)
			}
			if run == last { // else a slow caller of one that was forgotten
				acked = run
			}
		case "forget":
			forgetting++
		case "forgotten":
			forgetting--
			forgotten = true
		case "kept":
			forgetting--
		}
	}
	return c, nil
}
