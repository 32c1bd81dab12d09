package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// A journal is the file in which everybody who has to do with a key writes
// what he does, by single appending writes, so that the kernel puts it in
// order: what a line says began before the line was written when it is a
// claim about something to come (call, kill, mark), and had happened when it
// is one about something that was (start, end, return). Whatever idem
// promises about order must hold for the order of the lines.
//
// A line is "KIND CALL RUN CODE;", behind a line break and not before it: what
// is cut short by a kill has no semicolon and spoils nobody else's line.
type event struct {
	kind kind
	call string // of idem, by the harness: KEY/CALLER.N
	run  string // idem's run id
	code int    // exit status; negative: died of that signal
}

type kind string

const (
	// By the harness.
	called      kind = "call"         // idem run is about to be called
	returned    kind = "return"       // it has ended with code
	killIdem    kind = "kill-idem"    // the idem of call is about to be killed
	killCommand kind = "kill-command" // its command is, not what that has started
	killed      kind = "killed"       // it has been: 1, or it was gone already: 0
	markRetry   kind = "mark-retry"   // idem mark is about to be called by the operator
	markDone    kind = "mark-done"
	markFailed  kind = "mark-failed"
	marked      kind = "marked" // it has ended with code
	// By the command.
	started kind = "start"   // it has the lock
	overlap kind = "overlap" // it could not get the lock: somebody else is at it
	leaked  kind = "leaked"  // it got so many descriptors of the ledger besides its own lock
	worked  kind = "worked"  // a worker of it is through
	ended   kind = "end"     // it is about to exit with code
)

func (e event) String() string {
	blank := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	return fmt.Sprintf("%s %s %s %d", e.kind, blank(e.call), blank(e.run), e.code)
}

// journal is one open journal.
type journal struct{ f *os.File }

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	return &journal{f}, err
}

// add writes a line. There is nothing to be proved without a journal, so that
// it gives up when it cannot.
func (j *journal) add(e event) {
	if _, err := j.f.WriteString("\n" + e.String() + ";"); err != nil {
		panic(err)
	}
}

// sync makes the lines durable.
func (j *journal) sync() {
	if err := j.f.Sync(); err != nil {
		panic(err)
	}
}

// readJournal returns the events of a journal, without those that were cut
// short: who was killed writing them had not done them yet.
func readJournal(path string) ([]event, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseJournal(b)
}

func parseJournal(b []byte) ([]event, error) {
	var events []event
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		text, whole := strings.CutSuffix(string(line), ";")
		if !whole {
			continue
		}
		var e event
		if _, err := fmt.Sscanf(text, "%s %s %s %d", &e.kind, &e.call, &e.run, &e.code); err != nil {
			return nil, fmt.Errorf("the journal has a bad line %q: %w", text, err)
		}
		for _, s := range []*string{&e.call, &e.run} {
			if *s == "-" {
				*s = ""
			}
		}
		events = append(events, e)
	}
	return events, nil
}
