package batch

import "time"

// Standing is how far a batch has come.
type Standing struct {
	Settled int // items of the input that need nothing more from this call
	Before  int // of Settled: done before this call
	Failed  int // of Settled: failed
	Running int
	Ran     int // items whose command has ended in this call

	Read      int   // items that were read
	ReadBytes int64 // of the input
	Size      int64 // of the input in bytes; 0: unknown
	AllRead   bool  // Read is the number of all items
}

// ProgressMode is how progress is shown.
type ProgressMode int

// The modes.
const (
	ProgressNone  ProgressMode = iota
	ProgressBar                // one line that is drawn again and again, on a terminal
	ProgressLines              // a line every 30 seconds
)

// ProgressOptions are the fixed parts of a Progress.
type ProgressOptions struct {
	Mode     ProgressMode
	Name     string          // of the batch, safe to print
	Standing func() Standing // may be called from another goroutine at any time
	Screen   *Screen
	// Now and Tick replace the clock in tests.
	Now  func() time.Time
	Tick func(every time.Duration) (ticks <-chan time.Time, stop func())
}

// Progress shows how far a batch has come.
type Progress struct{ o ProgressOptions }

// ShowProgress begins to show progress. The caller stops it.
func ShowProgress(o ProgressOptions) *Progress { return &Progress{o} }

// Stop ends the showing, and erases the line of ProgressBar.
func (p *Progress) Stop() {}
