package batch

import (
	"os"
	"sync"

	"idem/internal/fdio"
	"idem/ledger"
)

// ScreenOptions describe where idem writes to.
type ScreenOptions struct {
	Stdout, Stderr *os.File
	// OutTerminal and ErrTerminal report whether the stream is a terminal. Two terminals
	// count as the same one.
	OutTerminal, ErrTerminal bool
	// Columns returns the present width of the terminal of stderr. With 0, no line of
	// progress is drawn now, because another process group has the terminal, for example.
	Columns func() int
}

// messagesMax is the number of bytes of messages that wait before a further message waits
// for the reader.
const messagesMax = 64 << 10

// Screen is the way to idem's stdout and stderr while a batch runs. It keeps the outputs
// of commands, messages and the line of progress apart.
type Screen struct {
	o ScreenOptions

	// mu is held while a goroutine writes to stderr, or to a terminal that may be stderr's.
	mu      sync.Mutex
	midLine bool   // the last output of a command there did not end with a newline
	drawn   string // the line of progress that is to be seen

	queue    sync.Mutex
	changed  sync.Cond // by queue
	messages []byte    // not printed yet
	sending  bool      // a goroutine prints them
	closed   bool
}

// NewScreen returns a screen. The caller closes it.
func NewScreen(o ScreenOptions) *Screen {
	s := &Screen{o: o}
	s.changed.L = &s.queue
	return s
}

// Write prints a message to stderr, which is one or more whole lines. It does not wait for
// the reader while there is memory. The error is always nil, because there is no other
// place to report it.
func (s *Screen) Write(p []byte) (int, error) {
	s.queue.Lock()
	defer s.queue.Unlock()
	for s.sending && len(s.messages)+len(p) > messagesMax {
		s.changed.Wait()
	}
	s.messages = append(s.messages, p...)
	if s.closed {
		s.send()
		return len(p), nil
	}
	if !s.sending {
		s.sending = true
		go func() {
			s.queue.Lock()
			defer s.queue.Unlock()
			s.send()
			s.sending = false
			s.changed.Broadcast()
		}()
	}
	return len(p), nil
}

// send prints the messages that wait. s.queue is held.
func (s *Screen) send() {
	for len(s.messages) > 0 {
		m := s.messages
		s.messages = nil
		s.changed.Broadcast()
		s.queue.Unlock()
		s.message(m)
		s.queue.Lock()
	}
}

func (s *Screen) message(m []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	if s.midLine {
		_ = fdio.WriteAll(s.o.Stderr, newline)
		s.midLine = false
	}
	_ = fdio.WriteAll(s.o.Stderr, m)
}

// Close prints the messages that wait, and erases the line of progress. Later messages are
// printed at once.
func (s *Screen) Close() {
	s.queue.Lock()
	for s.sending {
		s.changed.Wait()
	}
	s.closed = true
	s.queue.Unlock()
	s.draw("")
}

// output writes output of a command.
func (s *Screen) output(stream ledger.Stream, b []byte) error {
	f := s.file(stream)
	if stream == ledger.Stdout && !(s.o.OutTerminal && s.o.ErrTerminal) {
		return fdio.WriteAll(f, b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.midLine = b[len(b)-1] != '\n'
	return fdio.WriteAll(f, b)
}

// file returns the file of a stream.
func (s *Screen) file(stream ledger.Stream) *os.File {
	if stream == ledger.Stderr {
		return s.o.Stderr
	}
	return s.o.Stdout
}

// draw shows a line of progress in the place of the one before; an empty line erases that.
// After output without a newline, nothing is drawn, because the line would be erased with
// it.
func (s *Screen) draw(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line != "" {
		if s.midLine {
			return
		}
		line = cut(line, s.o.Columns()-1) // the last column would wrap
	}
	switch {
	case line == s.drawn:
	case line == "":
		s.erase()
	default:
		_ = fdio.WriteAll(s.o.Stderr, []byte("\r"+line+eraseRest))
		s.drawn = line
	}
}

const eraseRest = "\x1b[K"

// erase erases the line of progress. s.mu is held.
func (s *Screen) erase() {
	if s.drawn != "" {
		_ = fdio.WriteAll(s.o.Stderr, []byte("\r"+eraseRest))
		s.drawn = ""
	}
}
