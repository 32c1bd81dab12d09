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

// All processes of a key log their actions in its journal as lines "WHAT RUN", each with
// a single appending write, so the kernel orders the lines. A line about a future action
// is written before the action. A line about a past action is written after it.

func (b *soakRun) note(key, what, run string) {
	if err := appendNote(b.journalDir, key, what, run); err != nil {
		b.fail(err)
	}
}

func (b *soakRun) journal(key string) []string { return lines(filepath.Join(b.journalDir, key)) }

func appendNote(dir, key, what, run string) error {
	f, err := os.OpenFile(filepath.Join(dir, key), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(what + " " + run + "\n")
	return errors.Join(err, f.Close())
}

// Exit statuses of command.
const (
	commandFails    = 3
	commandOverlaps = 97
	commandCannot   = 98
)

// command is the command of the part soak. It holds a lock of its key that is independent
// of idem.
func command(args []string) int {
	dir, key, run := args[0], args[1], os.Getenv("IDEM_RUN_ID")
	alive, err := os.OpenFile(filepath.Join(dir, "alive"), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = unix.Flock(int(alive.Fd()), unix.LOCK_SH)
	}
	var own *os.File
	if err == nil {
		own, err = os.OpenFile(filepath.Join(dir, "lock."+key), os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load work:", err)
		return commandCannot
	}
	if err := unix.Flock(int(own.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = appendNote(dir, key, "overlap", run)
		return commandOverlaps
	}
	// Released before the end: at exit, the lock of idem may be released first.
	defer func() { _ = unix.Flock(int(own.Fd()), unix.LOCK_UN) }()
	if err := appendNote(dir, key, "start", run); err != nil {
		return commandCannot
	}
	// Ignore errors, because stdout has no reader if idem was killed.
	fmt.Printf("%s\n%s", run, strings.Repeat(".", padding(run)))
	time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
	what, code := "end", 0
	if rand.IntN(10) == 0 {
		what, code = "fail", commandFails
	}
	if err := appendNote(dir, key, what, run); err != nil {
		return commandCannot
	}
	return code
}

// padding returns the number of bytes that a run writes. Some runs exceed the limit for
// output in ledger.db.
func padding(run string) int {
	h := fnv.New32a()
	h.Write([]byte(run))
	if n := h.Sum32(); n%4 == 0 {
		return 40<<10 + int(n%1000)
	}
	return 0
}

// journalCounts has the figures of one journal.
type journalCounts struct{ starts, ends, acks int }

// checkJournal checks the promises on a journal:
//   - Runs do not overlap.
//   - A run does not follow an acknowledged success that was not forgotten.
//   - Every acknowledged run has ended.
func checkJournal(journal []string) (c journalCounts, err error) {
	var last, acked string // the last run that succeeded, and the same run once it is acknowledged
	ended := map[string]bool{}
	forgetting := 0    // running calls of idem forget
	forgotten := false // a call of idem forget has ended since the last success
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
			if run == last { // otherwise a slow caller acknowledges a forgotten run
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
