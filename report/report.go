// Package report writes what a ledger remembers as one HTML page that needs no other file and
// no network. Collect reads a ledger, and Report.Write writes the page. The page, its style
// and its script are in the directory page.
//
// No text of a ledger becomes markup: it is escaped in the static part, and the script puts it
// into text nodes only. The page has a Content-Security-Policy that permits nothing but its
// own style and script.
package report

import (
	"cmp"
	"time"

	"idem/jobs"
	"idem/ledger"
)

// Report is what a page shows. All texts are safe to show: without control characters.
type Report struct {
	Title   string
	Version string // of idem
	Ledger  string
	Host    string
	Made    time.Time
	// From and To are the range of the report.
	From, To time.Time
	Lanes    []Lane
	Keys     []Key
	Runs     []Run // in the order of their starts
	// Old has the attempts that are older than Runs, by lane and day.
	Old      []Day
	Hosts    []string // those that Run.Host counts, the usual one first
	Concerns []Concern
	Hidden   int // concerns that are not among Concerns
	// Overcome has the failed keys that have succeeded in a later window, and OvercomeHidden
	// counts those that are not among them.
	Overcome       []Concern
	OvercomeHidden int
	FailedBefore   int  // failed keys whose latest attempt began before the range
	LateUnknown    bool // the page ends in the past, so no job was judged to be late
	Phases         ledger.Tally
	// Foot says what is not in the page, a sentence each.
	Foot []string
}

// Lane is a job with its figures.
type Lane struct {
	jobs.Job
	Concerns int // how many keys of it need attention
}

func (l Lane) failed() int   { return l.Runs[jobs.Failed] + l.Runs[jobs.Timeout] }
func (l Lane) lost() int     { return l.Runs[jobs.Interrupted] }
func (l Lane) failures() int { return l.failed() + l.lost() }

// laneName returns the name of a lane as it is shown.
func laneName(l Lane) string { return cmp.Or(l.Name, "further jobs") }

// Key is a record.
type Key struct {
	Name, Window string
	Lane         int // index
	State        State
	Below        bool // a step or an item
	Details      *Details
}

// Details are what a page has about few keys only. Empty fields are not shown.
type Details struct {
	Note     string    `json:"note,omitempty"`
	Bytes    int64     `json:"bytes,omitempty"` // of output
	Args     string    `json:"args,omitempty"`  // the command line
	Inputs   string    `json:"inputs,omitempty"`
	Commands []Command `json:"commands,omitempty"`
	Tail     string    `json:"tail,omitempty"` // the last lines of output
}

// Command is a command that a reader may paste: its purpose and its line.
type Command [2]string

// Run is an attempt or a mark.
type Run struct {
	Start, Took int64 // in milliseconds, since 1970; Took is -1 if it is not known
	Key         int32 // index
	Number      int32
	Host        int32 // index
	Exit        int16 // -1 if it is not known
	State       State
	Inner       bool // see jobs.Run
}

// Day sums up attempts of one lane that began on one day in UTC.
type Day struct {
	Lane               int
	Day                int64 // since 1970
	Runs, Failed, Lost int
	Longest            int64 // in milliseconds
}

// Concern is a key or a job that needs the attention of a person.
type Concern struct {
	State    State
	Name     string // of the key or, without a window, of the job
	Window   string
	Space    string // the namespace
	Why      string
	Since    time.Time
	Host     string
	Commands []Command
	Tail     string
}

// State is the state of an attempt or of a key, as the script numbers them.
type State uint8

// The states of attempts, and those that only keys have.
const (
	succeeded State = 1 + iota
	failed
	timeout
	running
	interrupted
	marked
	retry
	batch
)

// words has the sign and the word of each state, as the script has them.
var words = [...]string{
	succeeded: "✓ succeeded", failed: "× failed", timeout: "× timed out", running: "▷ running",
	interrupted: "? interrupted", marked: "◇ marked", retry: "↻ to run again", batch: "≡ batch",
}

// stateOf returns the state of a run.
func stateOf(r jobs.Result) State {
	return [...]State{
		jobs.Succeeded: succeeded, jobs.Failed: failed, jobs.Timeout: timeout,
		jobs.Running: running, jobs.Interrupted: interrupted, jobs.Marked: marked,
	}[r]
}

// stateOfRecord returns the state of a key.
func stateOfRecord(r ledger.Record) State {
	switch r.Phase() {
	case ledger.PhaseSucceeded:
		return succeeded
	case ledger.PhaseFailed:
		if r.Current.Reason == ledger.ReasonTimeout {
			return timeout
		}
		return failed
	case ledger.PhaseRunning:
		return running
	case ledger.PhaseInterrupted:
		return interrupted
	case ledger.PhaseBatch:
		return batch
	default:
		return retry
	}
}
