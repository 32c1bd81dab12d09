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

// arrival is a signal that has come for us.
type arrival struct {
	sig syscall.Signal
	// queued is the siginfo of a signal that carries a value (sigqueue); else nil.
	queued *rawsig.Info
}

// listener gets signals.
type listener struct {
	want rawsig.Set
	take func(arrival) // one at a time; it must not block
	stop func()        // ends notify; nil without
}

// catcher is where signals come from, for all listeners of the process.
type catcher struct {
	mu        sync.Mutex
	listeners []*listener
	pipe      *os.File
	fd        int       // of the pipe
	early     []arrival // blocked by the caller, while there was no listener
}

var signals catcher

// listen makes signals go to l until unlisten. Signals that this process was
// started to ignore stay ignored.
func listen(l *listener) {
	if !signals.listen(l) {
		l.notify()
	}
}

// unlisten ends listen. When it returns, all earlier signals have been taken.
func unlisten(l *listener) {
	if l.stop != nil {
		l.stop()
	} else {
		signals.unlisten(l)
	}
}

// listen reports false where Go's own means must do.
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
	// First the kernel, then what it has left: so nothing falls in between.
	rest := slices.Delete(slices.Clone(s.listeners), at, at+1)
	s.listeners, rest = rest, s.listeners
	s.catch()
	s.listeners, rest = rest, s.listeners
	s.drain()
	s.listeners = rest
}

// catch has the kernel send the signals that the listeners take.
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
		s.fd, s.pipe = fd, os.NewFile(uintptr(fd), "signals") // it is non-blocking: no thread waits for it
		go s.loop()
		if rawsig.Blocked() != 0 {
			go unblocked()
		}
	}
	return true
}

// unblocked is a thread that takes the signals which the caller has blocked. They
// are the command's: to it they are pending.
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
	_ = conn.Read(func(uintptr) bool { // until the end of the process
		for s.more() {
		}
		return false
	})
}

// more takes what has come, and reports whether there may be more. Others get their
// turn in between: a flood of signals must not keep unlisten waiting.
func (s *catcher) more() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drain()
}

// perRead is how many signals one read takes, and full how many the pipe can hold.
const perRead, full = 8, 512

// drain takes all that has come when it is called, and reports whether there may be
// more.
func (s *catcher) drain() bool {
	var infos [perRead]rawsig.Info
	for range full / perRead {
		n, err := unix.Read(s.fd, unsafe.Slice((*byte)(unsafe.Pointer(&infos)), len(infos)*rawsig.InfoSize))
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return s.missed()
		}
		for i := range infos[:n/rawsig.InfoSize] {
			if infos[i].Signo == 0 { // see rawsig.Missed
				continue
			}
			a := arrival{sig: syscall.Signal(infos[i].Signo)}
			if infos[i].Code == siQueue {
				info := infos[i]
				a.queued = &info
			}
			s.dispatch(a)
		}
	}
	s.missed()
	return true
}

// missed takes what the pipe had no room for, and reports whether there was any.
func (s *catcher) missed() bool {
	set := rawsig.Missed()
	for n := 1; set != 0 && n <= 64; n++ {
		if set.Has(n) {
			s.dispatch(arrival{sig: syscall.Signal(n)})
		}
	}
	return set != 0
}

// siQueue is the code of a signal that carries a value.
const siQueue = -1

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
	default: // it came while the last listener went
		rawsig.Default(int(a.sig))
	}
}
