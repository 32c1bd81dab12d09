package lab

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// Event is a line of a journal. All processes of a key log their actions in its
// journal, each with a single appending write, so the kernel orders the lines. A
// line about a future action (call, kill, mark) is written before the action. A
// line about a past action (start, end, return) is written after it. The promises of
// idem about order must be true for the order of the lines.
//
// A line is "KIND CALL RUN CODE;" after a line break. A line that a kill has cut
// short has no semicolon and does not damage the next line.
type Event struct {
	Kind Kind
	Call string // the call of idem: KEY/CALLER.N
	Run  string // the run ID of idem
	Code int    // exit status; negative: died of that signal
}

// Kind is the kind of an event.
type Kind string

const (
	// By the test.
	Called      Kind = "call"         // idem run is about to be called
	Returned    Kind = "return"       // idem run has ended with Code
	KillIdem    Kind = "kill-idem"    // the idem of Call is about to be killed
	KillCommand Kind = "kill-command" // the command of Call is about to be killed, without its children
	Killed      Kind = "killed"       // Code 1: the process was killed; 0: it had ended before
	MarkRetry   Kind = "mark-retry"   // the operator is about to call idem mark
	MarkDone    Kind = "mark-done"
	MarkFailed  Kind = "mark-failed"
	Marked      Kind = "marked" // idem mark has ended with Code
	// By the command.
	Started Kind = "start"   // the command has the lock
	Overlap Kind = "overlap" // another command holds the lock
	Leaked  Kind = "leaked"  // the command inherited Code descriptors of the ledger in addition to its lock
	Worked  Kind = "worked"  // the worker of the command is done
	Ended   Kind = "end"     // the command is about to exit with Code
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

// OpenJournal opens a journal for appending. It makes the file if it does not exist.
func OpenJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	return &Journal{f}, err
}

// Add writes a line. It panics on an error, because the test proves nothing without
// its journal.
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

// ReadJournal returns the events of a journal, without lines that were cut short. A
// process that is killed during the write of a line has not acted yet.
func ReadJournal(path string) ([]Event, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParseJournal(b)
}

// ParseJournal returns the events in the content of a journal.
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
