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

// ownTerminal is the terminal from which idem was called. It is raw while the command
// has its own terminal. So every key goes to the command's terminal, which handles
// Ctrl-C and Ctrl-Z according to the command's modes.
//
// Only one goroutine changes the modes, and only in the foreground. In the background
// the modes are for the shell, and a change would stop idem with TTOU.
type ownTerminal struct {
	fd     int // the stdin of idem if that is a terminal, else -1
	sizeFD int // a terminal of idem that has the size, else -1
	master int // master of the command's terminal

	raw        atomic.Bool
	savedModes *term.State // the modes to restore
	rawModes   *term.State // the modes that makeRaw has set

	signals         chan syscall.Signal
	listener        listener
	stops           chan chan struct{} // requests to stop; loop closes the channel in the request when the stop is over
	quit, over      chan struct{}
	once            sync.Once
	onRawChange     func() // called when raw has changed
	continueCommand func() // continues the command
}

// foregroundLook is the interval at which idem in the background checks whether it is
// in the foreground now. A shell sends CONT only to a process that was stopped.
const foregroundLook = 250 * time.Millisecond

// continuedWithin is how long to wait until idem has been stopped and continued. It
// passes if the signal was dropped because there is no shell that could continue
// idem.
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
		default: // the waiting signals have the same effect
		}
	}}
	listen(&o.listener)
	go o.loop()
}

// end restores the modes and ends the goroutine. It may be called twice.
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

// stop stops idem. It returns when idem has been continued, in the foreground or in
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
	// The signal may arrive later at another thread. So wait until it has been handled.
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

// resume continues after a stop, or when idem has come into the foreground. Before
// that, a shell may have changed the modes and the size of the terminal.
func (o *ownTerminal) resume() {
	if o.fd >= 0 && !inForegroundOf(o.fd) {
		o.setRaw(false)
	} else {
		o.makeRaw()
	}
	o.continueCommand()
}

// makeRaw makes the terminal raw if idem is in its foreground.
func (o *ownTerminal) makeRaw() {
	if o.fd < 0 || !inForegroundOf(o.fd) {
		return
	}
	now, err := term.GetState(o.fd)
	if err != nil {
		return
	}
	if o.rawModes == nil || *now != *o.rawModes { // otherwise these are the raw modes, not the modes to restore
		if o.savedModes, err = term.MakeRaw(o.fd); err != nil {
			return
		}
		o.rawModes, _ = term.GetState(o.fd)
	}
	o.setRaw(true)
}

// restore restores the modes if the terminal is raw and idem is in its foreground.
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

// resize gives the command's terminal the size of the caller's. If the size changes,
// the kernel sends WINCH to the command.
func (o *ownTerminal) resize() {
	if o.sizeFD < 0 {
		return
	}
	if size, err := unix.IoctlGetWinsize(o.sizeFD, unix.TIOCGWINSZ); err == nil {
		_ = unix.IoctlSetWinsize(o.master, unix.TIOCSWINSZ, size)
	}
}

// inForegroundOf reports whether idem may use a terminal. This is so if the process
// group of idem is the foreground group, or if the terminal is not the controlling
// terminal.
func inForegroundOf(fd int) bool {
	foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err != nil || foreground == unix.Getpgrp()
}
