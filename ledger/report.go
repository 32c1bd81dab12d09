package ledger

import (
	"fmt"
	"slices"
)

// The levels of a Line.
const (
	LevelOK      = "ok"
	LevelNote    = "note"
	LevelWarning = "warning"
	LevelFault   = "fault"
)

// Line is one thing that was checked or done about a ledger.
type Line struct {
	Level string
	Name  string // of the thing, one word
	Text  string
	Hint  string // a way to change it; may be empty
	Err   error  // the error that a call gets, from which cmd makes the hint; may be nil
}

// SetHint sets the hint of the line.
func (l *Line) SetHint(format string, args ...any) { l.Hint = fmt.Sprintf(format, args...) }

// Report is the result of an operation about a whole ledger.
type Report struct{ Lines []Line }

// Add adds a line without a hint, and returns it. It is valid until the next Add.
func (r *Report) Add(level, name, format string, args ...any) *Line {
	r.Lines = append(r.Lines, Line{Level: level, Name: name, Text: fmt.Sprintf(format, args...)})
	return &r.Lines[len(r.Lines)-1]
}

// Sound reports whether no line has a fault.
func (r Report) Sound() bool {
	return !slices.ContainsFunc(r.Lines, func(l Line) bool { return l.Level == LevelFault })
}
