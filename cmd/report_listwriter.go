package cmd

import (
	"bufio"
	"cmp"
	"runtime/debug"
)

// frugal keeps the heap of a command small that reads all of a ledger. With Go's default, garbage
// takes as much memory as all that is in use. A collection costs little here, because there are few
// pointers.
func frugal() { debug.SetGCPercent(30) }

// listWriter writes a list to stdout while it is read, because there may be millions of
// records. The errors of stdout are failures.
type listWriter struct {
	*bufio.Writer
	ui    *ui
	page  func() // before the first bytes
	begun bool   // something has been written to stdout
}

// listBuffer is how many bytes are held back: fewer than those of the records that a ledger
// finds at once.
const listBuffer = 16 << 10

func newListWriter(u *ui, page func()) *listWriter {
	w := &listWriter{ui: u, page: page}
	w.Writer = bufio.NewWriterSize(stdoutOf{w}, listBuffer)
	return w
}

// end writes what is left and returns the error of the list or of stdout.
func (w *listWriter) end(err error) error {
	return cmp.Or(w.Flush(), err) // Flush repeats the error of an earlier write
}

// endWhole is end, but writes nothing after an error if nothing has been written: the reader of
// a pipe does not see the exit status of idem.
func (w *listWriter) endWhole(err error) error {
	if err != nil && !w.begun {
		return err
	}
	return w.end(err)
}

// stdoutOf writes to the stdout of a listWriter.
type stdoutOf struct{ w *listWriter }

func (s stdoutOf) Write(p []byte) (int, error) {
	if !s.w.begun {
		s.w.page()
	}
	s.w.begun = true
	return s.w.ui.write(p)
}

// flushing is a listWriter that holds no write back, so rows appear on a terminal as they are read.
type flushing struct{ w *listWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	return n, cmp.Or(err, f.w.Flush())
}
