package proc

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"idem/internal/rawsig"
)

// ownTerminal is the terminal that idem itself was called at. While the command
// has another, it is raw: every key goes to the command's terminal, which makes
// of Ctrl-C and Ctrl-Z what the command wants of them.
//
// Only one goroutine changes the modes, and only in the foreground: they are the
// shell's otherwise, and changing them would stop us (TTOU).
type ownTerminal struct {
	fd     int // our stdin if that is a terminal, else -1
	sizeFD int // which of our descriptors has the size, else -1
	master int // of the command's terminal

	raw        atomic.Bool
	savedModes *term.State // the modes to give back
	rawModes   *term.State // the modes that we have set

	signals         chan syscall.Signal
	listener        listener
	stops           chan chan struct{} // a request to stop; closed when that is over
	quit, over      chan struct{}
	once            sync.Once
	onRawChange     func() // raw has
	continueCommand func() // continue the command
}

// foregroundLook is how often a process in the background looks whether it has
// come to the foreground: a shell tells that only to one that was stopped.
const foregroundLook = 250 * time.Millisecond

// continuedWithin is how long to wait for being stopped and continued. It is
// over when the signal was dropped, because no shell is there to continue us.
const continuedWithin = time.Second

func newOwnTerminal(stdin *os.File, sizes []*os.File, master int) *ownTerminal {
	o := &ownTerminal{
		fd: -1, sizeFD: -1, master: master,
		signals: make(chan syscall.Signal, 8), stops: make(chan chan struct{}),
		quit: make(chan struct{}), over: make(chan struct{}),
	}
	if term.IsTerminal(int(stdin.Fd())) {
		o.fd = int(stdin.Fd())
	}
	for _, f := range sizes {
		if f != nil && o.sizeFD < 0 && term.IsTerminal(int(f.Fd())) {
			o.sizeFD = int(f.Fd())
		}
	}
	return o
}

func (o *ownTerminal) begin(t *tty) {
	o.onRawChange = t.input.recheck
	o.continueCommand = func() {
		if t.begun.Load() {
			t.signal(unix.SIGCONT)
		}
	}
	o.resize()
	o.makeRaw()
	o.listener = listener{want: rawsig.SetOf(int(unix.SIGWINCH), int(unix.SIGCONT)), take: func(a arrival) {
		select {
		case o.signals <- a.sig:
		default: // as many of the kind are waiting
		}
	}}
	listen(&o.listener)
	go o.loop()
}

// end gives the modes back and ends the goroutine. It may be called twice.
func (o *ownTerminal) end() {
	o.once.Do(func() {
		unlisten(&o.listener)
		close(o.quit)
	})
	<-o.over
}

func (o *ownTerminal) loop() {
	defer close(o.over)
	defer o.restore()
	for {
		var tick <-chan time.Time
		if o.fd >= 0 && !o.raw.Load() {
			tick = time.After(foregroundLook)
		}
		select {
		case sig := <-o.signals:
			if o.resize(); sig == unix.SIGCONT {
				o.resume()
			}
		case done := <-o.stops:
			o.stop()
			close(done)
		case <-tick:
			if inForegroundOf(o.fd) {
				o.resume()
			}
		case <-o.quit:
			return
		}
	}
}

// stop stops us and returns when we have been continued, in the foreground or in
// the background.
func (o *ownTerminal) stop() {
	o.restore()
	for drained := false; !drained; {
		select {
		case <-o.signals:
		default:
			drained = true
		}
	}
	// The signal may hit another thread a moment later, hence the wait.
	_ = unix.Kill(0, unix.SIGTSTP)
	timeout := time.After(continuedWithin)
	for continued := false; !continued; {
		select {
		case sig := <-o.signals:
			continued = sig == unix.SIGCONT
		case <-timeout:
			continued = true
		}
	}
	o.resize()
	o.resume()
}

// resume goes on after a stop, or in the foreground. Meanwhile a shell may have
// given the terminal other modes and another size.
func (o *ownTerminal) resume() {
	if o.fd >= 0 && !inForegroundOf(o.fd) {
		o.setRaw(false)
	} else {
		o.makeRaw()
	}
	o.continueCommand()
}

// makeRaw makes the terminal raw, if it is ours.
func (o *ownTerminal) makeRaw() {
	if o.fd < 0 || !inForegroundOf(o.fd) {
		return
	}
	now, err := term.GetState(o.fd)
	if err != nil {
		return
	}
	if o.rawModes == nil || *now != *o.rawModes { // else these are not the modes to give back
		if o.savedModes, err = term.MakeRaw(o.fd); err != nil {
			return
		}
		o.rawModes, _ = term.GetState(o.fd)
	}
	o.setRaw(true)
}

func (o *ownTerminal) restore() {
	if o.raw.Load() && inForegroundOf(o.fd) {
		_ = term.Restore(o.fd, o.savedModes)
	}
	o.rawModes = nil
	o.setRaw(false)
}

func (o *ownTerminal) setRaw(raw bool) {
	if o.raw.Swap(raw) != raw {
		o.onRawChange()
	}
}

// resize gives the command's terminal the size of ours. The kernel tells the
// command if that changes anything.
func (o *ownTerminal) resize() {
	if o.sizeFD < 0 {
		return
	}
	if size, err := unix.IoctlGetWinsize(o.sizeFD, unix.TIOCGWINSZ); err == nil {
		_ = unix.IoctlSetWinsize(o.master, unix.TIOCSWINSZ, size)
	}
}

// inForegroundOf tells whether a terminal is ours to use: our process group is
// in its foreground, or it has none that we could be outside of.
func inForegroundOf(fd int) bool {
	foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err != nil || foreground == unix.Getpgrp()
}
