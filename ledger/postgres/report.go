package postgres

import (
	"fmt"
	"time"
)

// The levels of a Line.
const (
	LevelOK      = "ok"
	LevelNote    = "note"
	LevelWarning = "warning"
	LevelFault   = "fault"
)

// Line is one thing that was checked or done.
type Line struct {
	Level string
	Name  string // of the thing, one word
	Text  string
	Hint  string // a way to change it; may be empty
}

// Report is the result of an operation about a whole ledger.
type Report struct{ Lines []Line }

func (r *Report) add(level, name, format string, args ...any) *Line {
	r.Lines = append(r.Lines, Line{Level: level, Name: name, Text: fmt.Sprintf(format, args...)})
	return &r.Lines[len(r.Lines)-1]
}

// hint sets the hint of the line.
func (l *Line) hint(format string, args ...any) { l.Hint = fmt.Sprintf(format, args...) }

// ConnectOptions are the options of operations about a whole ledger. See Options.
type ConnectOptions struct {
	LocalBase      string
	FromFlag       bool
	TrustPlace     bool
	ConnectTimeout time.Duration
}

func (o ConnectOptions) open(place string) (*Ledger, error) {
	return Open(place, Options{
		LocalBase: o.LocalBase, FromFlag: o.FromFlag, TrustPlace: o.TrustPlace, ConnectTimeout: o.ConnectTimeout,
	})
}
