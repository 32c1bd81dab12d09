package lab

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
type Event struct {
	Kind Kind
	Call string // of idem, by the harness: KEY/CALLER.N
	Run  string // idem's run id
	Code int    // exit status; negative: died of that signal
}

type Kind string

const (
	// By the harness.
	Called      Kind = "call"         // idem run is about to be called
	Returned    Kind = "return"       // it has ended with code
	KillIdem    Kind = "kill-idem"    // the idem of call is about to be killed
	KillCommand Kind = "kill-command" // its command is, not what that has started
	Killed      Kind = "killed"       // it has been: 1, or it was gone already: 0
	MarkRetry   Kind = "mark-retry"   // idem mark is about to be called by the operator
	MarkDone    Kind = "mark-done"
	MarkFailed  Kind = "mark-failed"
	Marked      Kind = "marked" // it has ended with code
	// By the command.
	Started Kind = "start"   // it has the lock
	Overlap Kind = "overlap" // it could not get the lock: somebody else is at it
	Leaked  Kind = "leaked"  // it got so many descriptors of the ledger besides its own lock
	Worked  Kind = "worked"  // a worker of it is through
	Ended   Kind = "end"     // it is about to exit with code
)

func (e Event) String() string {
	blank := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	return fmt.Sprintf("%s %s %s %d", e.Kind, blank(e.Call), blank(e.Run), e.Code)
}

// Journal is one open journal.
type Journal struct{ F *os.File }

func OpenJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	return &Journal{f}, err
}

// Add writes a line. There is nothing to be proved without a journal, so that
// it gives up when it cannot.
func (j *Journal) Add(e Event) {
	if _, err := j.F.WriteString("\n" + e.String() + ";"); err != nil {
		panic(err)
	}
}

// Sync makes the lines durable.
func (j *Journal) Sync() {
	if err := j.F.Sync(); err != nil {
		panic(err)
	}
}

// ReadJournal returns the events of a journal, without those that were cut
// short: who was killed writing them had not done them yet.
func ReadJournal(path string) ([]Event, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParseJournal(b)
}

func ParseJournal(b []byte) ([]Event, error) {
	var events []Event
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		text, whole := strings.CutSuffix(string(line), ";")
		if !whole {
			continue
		}
		var e Event
		if _, err := fmt.Sscanf(text, "%s %s %s %d", &e.Kind, &e.Call, &e.Run, &e.Code); err != nil {
			return nil, fmt.Errorf("the journal has a bad line %q: %w", text, err)
		}
		for _, s := range []*string{&e.Call, &e.Run} {
			if *s == "-" {
				*s = ""
			}
		}
		events = append(events, e)
	}
	return events, nil
}
