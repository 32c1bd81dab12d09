package proc

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"idem/internal/rawsig"
)

// arrival is a signal that this process has got.
type arrival struct {
	sig syscall.Signal
	// queued is the siginfo of a signal that has a value (sigqueue), or nil.
	queued *rawsig.Info
	typed  bool // it came from the terminal
}

// listener gets signals from the catcher.
type listener struct {
	want rawsig.Set
	take func(arrival) // called for one signal at a time; it must not block
	stop func()        // ends notify; nil if notify is not used

	reset, again func(syscall.Signal) // with stop: restore the disposition of a signal, and catch it again
}

// catcher passes the caught signals to all listeners of the process.
type catcher struct {
	mu        sync.Mutex
	listeners []*listener
	pipe      *os.File
	fd        int                  // descriptor of the pipe
	early     []arrival            // blocked by the caller, and came while there was no listener
	infos     [perRead]rawsig.Info // of one read; on the stack they would make that of loop grow
}

var signals catcher

// listen passes signals to l until unlisten. Signals that were ignored when this
// process was started stay ignored.
func listen(l *listener) {
	if !signals.listen(l) {
		l.notify()
	}
}

// unlisten ends listen. When it returns, l has got all earlier signals.
func unlisten(l *listener) {
	if l.stop != nil {
		l.stop()
	} else {
		signals.unlisten(l)
	}
}

// listen returns false if signals can be caught only with os/signal.
func (s *catcher) listen(l *listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, l)
	if !s.catch() {
		s.listeners = s.listeners[:len(s.listeners)-1]
		return false
	}
	for _, a := range s.early {
		s.dispatch(a)
	}
	s.early = nil
	return true
}

func (s *catcher) unlisten(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.listeners, l)
	if at < 0 {
		return
	}
	// Restore the dispositions before draining the pipe. Otherwise signals could be lost.
	rest := slices.Delete(slices.Clone(s.listeners), at, at+1)
	s.listeners, rest = rest, s.listeners
	s.catch()
	s.listeners, rest = rest, s.listeners
	s.drain()
	s.listeners = rest
}

// catch makes the kernel send the signals of all listeners to the pipe.
func (s *catcher) catch() bool {
	var want rawsig.Set
	for _, l := range s.listeners {
		want |= l.want
	}
	fd, errno := rawsig.Catch(want)
	if errno != 0 {
		return false
	}
	if s.pipe == nil {
		s.fd, s.pipe = fd, os.NewFile(uintptr(fd), "signals") // non-blocking, so no thread waits for it
		go s.loop()
		if rawsig.Blocked() != 0 {
			go unblocked()
		}
	}
	return true
}

// raise lets a caught signal have its default action on this process, until again.
func (s *catcher) raise(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rawsig.Default(int(sig))
}

// again catches the signals that the listeners want.
func (s *catcher) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catch()
}

// unblocked keeps a thread that takes the signals that the caller has blocked. They
// belong to the command, where they will be pending.
func unblocked() {
	runtime.LockOSThread()
	rawsig.Unblock()
	select {}
}

func (s *catcher) loop() {
	conn, err := s.pipe.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Read(func(uintptr) bool { // returns at the end of the process
		for s.more() {
		}
		return false
	})
}

// more takes the signals that have come, and reports whether there may be more. It
// releases the lock between calls, so that a flood of signals does not delay
// unlisten.
func (s *catcher) more() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drain()
}

// perRead is the number of signals in one read. full is the number that the pipe holds.
const perRead, full = 8, 512

// drain takes all signals that have come before the call, and reports whether there
// may be more.
func (s *catcher) drain() bool {
	for range full / perRead {
		n, err := unix.Read(s.fd, unsafe.Slice((*byte)(unsafe.Pointer(&s.infos)), len(s.infos)*rawsig.InfoSize))
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return s.missed()
		}
		for i := range s.infos[:n/rawsig.InfoSize] {
			info := &s.infos[i]
			if info.Signo == 0 { // see rawsig.Missed
				continue
			}
			a := arrival{sig: syscall.Signal(info.Signo), typed: info.Code == siKernel}
			if info.Code == siQueue {
				queued := *info
				a.queued = &queued
			}
			s.dispatch(a)
		}
	}
	s.missed()
	return true
}

// missed takes the signals for which the pipe had no room, and reports whether there
// were any.
func (s *catcher) missed() bool {
	set := rawsig.Missed()
	for n := 1; set != 0 && n <= 64; n++ {
		if set.Has(n) {
			s.dispatch(arrival{sig: syscall.Signal(n)})
		}
	}
	return set != 0
}

// siQueue is the si_code of a signal that has a value, siKernel that of one from the kernel,
// such as from a key of the terminal.
const siQueue, siKernel = -1, 0x80

func (s *catcher) dispatch(a arrival) {
	taken := false
	for _, l := range s.listeners {
		if l.want.Has(int(a.sig)) {
			l.take(a)
			taken = true
		}
	}
	switch {
	case taken:
	case rawsig.Blocked().Has(int(a.sig)):
		s.early = append(s.early, a)
	default: // it came while the last listener was removed
		rawsig.Default(int(a.sig))
	}
}
