//go:build linux && (amd64 || arm64)

package rawsig

import "unsafe"

// Signals of Linux on amd64 and arm64.
const (
	quit, ill, trap, bus, fpe, segv, pipe, sys = 3, 4, 5, 7, 8, 11, 13, 31
	kill, chld, cont, stop                     = 9, 17, 18, 19
	tstp, ttin, ttou, urg, xfsz, winch         = 20, 21, 22, 23, 25, 28
	cancel, setxid                             = 32, 33
)

// Supported reports whether this package does anything on this platform.
const Supported = true

// The kernel's struct sigaction.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

const (
	sigDefault, sigIgnore = 0, 1

	saSiginfo, saOnstack, saRestart = 0x4, 0x08000000, 0x10000000

	sigSetmask, sigUnblock = 2, 1
)

// What the handler reads. It runs at any time on any thread, so every one of
// these is a word that is written as a whole.
var (
	faults   = uint64(Of(ill, trap, bus, fpe, segv, sys, chld)) // Go's own when the kernel sends them
	writes   = uint64(Of(pipe, xfsz))                           // a write of ours may have caused it
	harmless = uint64(Of(chld, cont, urg, winch))               // their default action does nothing
	ignored  uint64                                             // by the caller
	caught   uint64                                             // goes to descriptor fd
	fd       int64                                              = -1
	pid      uint64
	missed   uint64 // were caught while the pipe was full
	//lint:ignore U1000 the handler writes it to the pipe
	wake     [InfoSize]byte // a record without a signal
	previous [65]uintptr    // Go's handlers
	fallback sigaction      // the default disposition
)

// early reports that the runtime has left the dispositions alone; see runtime.s.
var early bool

// preempted reports whether the main thread was sent the URG that Catch sends.
var preempted bool

var (
	blocked   Set // in the mask that this process was started with
	installed Set // signals with our handler; guarded by the caller of Catch
)

// init makes the dispositions those that the process was started with, and
// installs the handlers that Go cannot do without.
func init() {
	pid = uint64(syscall(sysGetpid, 0, 0, 0, 0))
	blocked = Set(initialMask())
	var now sigaction
	set(quit, nil, &now)
	early = now.handler <= sigIgnore
	if early {
		signalsOK(0) // until ours are in front of them
		goHandlers()
		isLibrary(0)
	}
	for _, n := range [...]int{bus, fpe, segv, pipe, xfsz} {
		install(n)
	}
	if early {
		signalsOK(1)
		standardDescriptors()
	}
	for n := 1; n <= 64; n++ {
		if initial(n) == sigIgnore {
			ignored |= 1 << (n - 1)
		}
	}
	if early {
		set(chld, &fallback, nil) // else there would be nothing to wait for
	} else {
		undoRuntime() // CHLD keeps the runtime's handler: os/signal would not install it again
	}
	for n := pipe; n <= xfsz; n++ {
		if (Set(writes) & Ignored()).Has(n) {
			set(n, &sigaction{handler: sigIgnore}, nil)
		}
	}
	// The runtime's, for calls that idem does not make.
	if Ignored().Has(setxid) {
		set(setxid, &sigaction{handler: sigIgnore}, nil)
	} else {
		set(setxid, &fallback, nil)
	}
	if blocked != 0 {
		catchBlocked()
	}
	if pid == 1 {
		catchAsInit()
	}
}

// catchAsInit is for the first process of a container. The kernel drops signals for it
// that would do their default. The handler ends it with 128+n instead: a
// container with idem can be stopped like one without.
func catchAsInit() {
	for n := 1; n <= 64; n++ {
		if (catchable &^ Ignored() &^ Harmless() &^ installed).Has(n) {
			install(n)
		}
	}
}

// undoRuntime takes the runtime's handlers back, if it has installed them. It has left
// alone HUP and INT when they were ignored, and dies of them when they were not.
func undoRuntime() {
	for n := quit; n <= 64; n++ {
		switch {
		case Harmless().Has(n) || !catchable.Has(n) || n == cancel || Of(bus, fpe, segv, pipe, xfsz).Has(n):
		case Ignored().Has(n):
			set(n, &sigaction{handler: sigIgnore}, nil)
		default:
			set(n, &fallback, nil)
		}
	}
}

// standardDescriptors opens those that were closed at the start, as the runtime does
// where it is not told that it is a library: else a file of ours would become
// stdout. The runtime may have one there already, with the CPU limit of the cgroup.
// That is recognised by its flag, which nothing inherited has, and the runtime does
// without it.
func standardDescriptors() {
	const getFD, closeOnExec, readWrite, atCWD, status = 1, 1, 2, ^uintptr(99), 69
	const badDescriptor = ^uintptr(9 - 1)
	for n := uintptr(0); n < 3; n++ {
		if flags := syscall(sysFcntl, n, getFD, 0, 0); flags != badDescriptor && flags != closeOnExec {
			continue
		}
		path := [...]byte{'/', 'd', 'e', 'v', '/', 'n', 'u', 'l', 'l', 0}
		null := syscall(sysOpenat, atCWD, uintptr(unsafe.Pointer(&path)), readWrite, 0)
		got := null
		if null != n {
			got = syscall(sysDup3, null, n, 0, 0)
			syscall(sysClose, null, 0, 0, 0)
		}
		if got != n {
			text := [...]byte{'i', 'd', 'e', 'm', ':', ' ', 'n', 'o', ' ', '/', 'd', 'e', 'v', '/', 'n', 'u', 'l', 'l', '\n'}
			syscall(sysWrite, 2, uintptr(unsafe.Pointer(&text)), uintptr(len(text)), 0)
			syscall(sysExitGroup, status, 0, 0, 0)
		}
	}
}

// catchBlocked is for a process that was started with blocked signals. To the command
// they would be pending, so they are kept in the pipe for the command. The runtime
// has unblocked some of them in every thread.
func catchBlocked() {
	if _, err := open(); err != 0 {
		return
	}
	for n := 1; n <= 64; n++ {
		if (blocked & catchable &^ Ignored() &^ Of(cont)).Has(n) {
			install(n)
		}
	}
	caught = uint64(blocked)
}

// catchable are the signals that Catch takes: all but those that cannot be
// caught, and those that stop and continue a job.
const catchable = ^Set(1<<(kill-1) | 1<<(stop-1) | 1<<(tstp-1) | 1<<(ttin-1) | 1<<(ttou-1))

// Ignored returns the signals that this process was started to ignore.
func Ignored() Set { return Set(ignored) }

// Blocked returns the signals that this process was started with blocked.
func Blocked() Set { return blocked }

// Harmless returns the signals whose default action does nothing.
func Harmless() Set { return Set(harmless) }

// readEnd is that of the pipe, valid when fd is.
var readEnd int

// open makes the pipe, once, and returns the end to read from. It does not block.
func open() (r int, errno uintptr) {
	if fd >= 0 {
		return readEnd, 0
	}
	const nonblock, cloexec = 0x800, 0x80000
	var ends [2]int32
	if e := -int64(syscall(sysPipe2, uintptr(unsafe.Pointer(&ends)), nonblock|cloexec, 0, 0)); e > 0 {
		return -1, uintptr(e)
	}
	readEnd, fd = int(ends[0]), int64(ends[1])
	return readEnd, 0
}

// Catch makes the signals of a set, and those alone, go to the descriptor that it
// returns, each as an Info. Signals that this process was started to ignore stay
// ignored. For all others the default disposition is in force; signals that were
// blocked at the start are the exception: they always go to the descriptor.
//
// A PIPE or XFSZ that a write of our own has caused goes nowhere, for the write says
// so, and neither does what the kernel sends for a fault of ours.
//
// Calls must not run at the same time.
func Catch(s Set) (r int, errno uintptr) {
	if r, errno = open(); errno != 0 {
		return r, errno
	}
	if early && !preempted {
		// The runtime sends no further URG to a thread that has not taken the last. One
		// for the main thread may have come before init. That matters to calls that run
		// for long, so a replay is spared the 10 µs.
		preempted = true
		syscall(sysTkill, uintptr(pid), urg, 0, 0)
	}
	s &= catchable &^ Set(ignored)
	exchange(&caught, uint64(s|blocked))
	for n := 1; n <= 64; n++ {
		if s.Has(n) && !installed.Has(n) {
			install(n)
		}
	}
	return r, 0
}

// Missed returns, once, the signals that were caught while the pipe was full. The
// pipe has 512 records, and what sends more than a reader takes sends most of them
// in vain; but a signal of another number must not be lost among them. After a
// signal was missed, the pipe has a record whose Signo is 0, unless it is full.
func Missed() Set {
	if missed == 0 {
		return 0
	}
	return Set(exchange(&missed, 0))
}

// Default lets a signal that was caught do what it does by default.
func Default(n int) {
	if Harmless().Has(n) || ignored&(1<<(n-1)) != 0 {
		return
	}
	installed &^= Of(n)
	set(n, &fallback, nil)
	syscall(sysKill, uintptr(pid), uintptr(n), 0, 0)
}

// KeepPipe installs the handler of PIPE once more, after a call of
// signal.Ignore: a command would inherit an ignored signal.
func KeepPipe() {
	if ignored&(1<<(pipe-1)) == 0 {
		a := caughtBy()
		set(pipe, &a, nil)
	}
}

// Leave makes all signals ignored that were at the start, also those that the
// runtime needs, for a program that takes this process's place.
func Leave() {
	for n := 1; n <= 64; n++ {
		if Ignored().Has(n) {
			set(n, &sigaction{handler: sigIgnore}, nil)
		}
	}
}

// WithMask calls f with the mask of the calling thread as the process was started
// with, for what f starts. The caller has locked the thread.
func WithMask(f func()) {
	mask, old := uint64(blocked), uint64(0)
	syscall(sysSigprocmask, sigSetmask, uintptr(unsafe.Pointer(&mask)), uintptr(unsafe.Pointer(&old)), 8)
	f()
	syscall(sysSigprocmask, sigSetmask, uintptr(unsafe.Pointer(&old)), 0, 8)
}

// Unblock lets the calling thread, which the caller has locked, take all signals.
func Unblock() {
	all := ^uint64(0)
	syscall(sysSigprocmask, sigUnblock, uintptr(unsafe.Pointer(&all)), 0, 8)
}

// caughtBy is the disposition of a signal that our handler catches.
func caughtBy() sigaction {
	return sigaction{handler: handlerPC(), flags: saSiginfo | saOnstack | saRestart | restorerFlag, restorer: restorerPC(), mask: ^uint64(0)}
}

func install(n int) {
	a := caughtBy()
	if n == cont || n == urg || faults&(1<<(n-1)) != 0 { // these may have another one
		var old sigaction
		set(n, nil, &old)
		if n == cont && old.handler == sigIgnore { // the runtime does not say so
			ignored |= 1 << (n - 1)
			return
		}
		if old.handler > sigIgnore && old.handler != a.handler {
			previous[n] = old.handler
		}
	}
	set(n, &a, nil)
	installed |= Of(n)
}

func set(n int, act, old *sigaction) {
	syscall(sysSigaction, uintptr(n), uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)), 8)
}

// In assembly.

// syscall makes a system call that does not block and returns its result, which
// is negative for an error.
//
//go:noescape
func syscall(trap, a, b, c, d uintptr) uintptr

// exchange writes a word that the handler reads and returns what it was.
//
//go:noescape
func exchange(p *uint64, v uint64) uint64

func handlerPC() uintptr
func restorerPC() uintptr

//lint:ignore U1000 the kernel calls it
func handler()

//lint:ignore U1000 the kernel calls it
func restorer()
