package drivers

import "time"

// The levels of a Line.
const (
	LevelOK      = "ok"
	LevelNote    = "note"
	LevelWarning = "warning"
	LevelFault   = "fault"
)

// Line is one thing that was checked or done about a shared ledger.
type Line struct {
	Level string
	Name  string // of the thing, one word
	Text  string
	Hint  string // a way to change it; may be empty
}

// Report is the result of an operation about a whole shared ledger.
type Report struct{ Lines []Line }

// Sound reports whether no line has a fault.
func (r Report) Sound() bool {
	for _, l := range r.Lines {
		if l.Level == LevelFault {
			return false
		}
	}
	return true
}

// ConnectOptions are the options of Check, Confirm, Upgrade and Sync.
type ConnectOptions struct {
	LocalBase      string // see Options
	FromFlag       bool   // see Options
	TrustPlace     bool   // see Options
	ConnectTimeout time.Duration
}

// InitOptions are the options of Init.
type InitOptions struct {
	ConnectOptions
	Grant     []string // roles that may use the ledger
	GrantDone []string // roles that may only record their own success
	Failover  string   // "refuse", "accept" or "", which leaves it as it is
}
