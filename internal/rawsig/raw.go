//go:build linux && (amd64 || arm64)

package rawsig

import "unsafe"

// These are the signals of Linux on amd64 and arm64.
const (
	quit, ill, trap, bus, fpe, segv, pipe, sys = 3, 4, 5, 7, 8, 11, 13, 31
	kill, chld, cont, stop                     = 9, 17, 18, 19
	tstp, ttin, ttou, urg, xfsz, winch         = 20, 21, 22, 23, 25, 28
	cancel, setxid                             = 32, 33
)

// Supported reports whether this package has an effect on this platform.
const Supported = true

// sigaction is the kernel's struct sigaction.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

const (
	sigDefault, sigIgnore = 0, 1

	saSiginfo, saOnstack, saRestart = 0x4, 0x08000000, 0x10000000

	sigSetmask, sigUnblock = 2, 1
)

// The handler reads these variables at any time on any thread. So each is a word that
// is written as a whole.
var (
	faults   = uint64(SetOf(ill, trap, bus, fpe, segv, sys, chld)) // handled by Go when the kernel sends them
	writes   = uint64(SetOf(pipe, xfsz))                           // may be caused by a write of this process
	harmless = uint64(SetOf(chld, cont, urg, winch))               // default action: none
	ignored  uint64                                                // at the start
	caught   uint64                                                // written to descriptor fd
	fd       int64                                                 = -1
	pid      uint64
	missed   uint64 // caught while the pipe was full
	//lint:ignore U1000 the handler writes it to the pipe
	wake     [InfoSize]byte // a record without a signal
	previous [65]uintptr    // Go's handlers
	fallback sigaction      // the default disposition
)

// early reports whether the runtime has left the dispositions alone; see runtime.s.
var early bool

// closed has the bits of the descriptors 0 to 2 that were closed at the start. It is known if
// early is.
var closed uint8

// Closed reports whether a descriptor of 0 to 2 was closed at the start.
func Closed(n int) (was, known bool) { return closed>>n&1 != 0, early }

// preempted reports whether Catch has sent URG to the main thread.
var preempted bool

var (
	blocked   Set // in the mask that this process was started with
	installed Set // signals that have handler; guarded by the caller of Catch
)

// init sets the dispositions that the process was started with, and installs the
// handlers that Go requires.
func init() {
	pid = uint64(syscall(sysGetpid, 0, 0, 0, 0))
	blocked = Set(initialMask())
	var now sigaction
	set(quit, nil, &now)
	early = now.handler <= sigIgnore
	if early {
		signalsOK(0) // until handler is installed in front of them
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
		set(chld, &fallback, nil) // if CHLD were ignored, wait would return no status
	} else {
		undoRuntime() // not for CHLD: os/signal would not install its handler again
	}
	for n := pipe; n <= xfsz; n++ {
		if (Set(writes) & Ignored()).Has(n) {
			set(n, &sigaction{handler: sigIgnore}, nil)
		}
	}
	// The runtime needs it for calls that idem does not make.
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

// catchAsInit installs handler for the first process of a container. For that
// process, the kernel drops signals whose disposition is the default. The handler
// ends the process with 128+n instead, so a container with idem can be stopped like
// one without.
func catchAsInit() {
	for n := 1; n <= 64; n++ {
		if (catchable &^ Ignored() &^ Harmless() &^ installed).Has(n) {
			install(n)
		}
	}
}

// undoRuntime removes the runtime's handlers, if it has installed them. HUP and INT
// need no removal: the runtime leaves them alone if they are ignored, and otherwise
// dies of them.
func undoRuntime() {
	for n := quit; n <= 64; n++ {
		switch {
		case Harmless().Has(n) || !catchable.Has(n) || n == cancel || SetOf(bus, fpe, segv, pipe, xfsz).Has(n):
		case Ignored().Has(n):
			set(n, &sigaction{handler: sigIgnore}, nil)
		default:
			set(n, &fallback, nil)
		}
	}
}

// standardDescriptors opens /dev/null as each of the descriptors 0 to 2 that was
// closed at the start. Otherwise one of the program's files would become stdout. The
// runtime does the same only if it does not take itself for a library.
//
// The runtime may already have a file with the CPU limit of the cgroup on such a
// number. Such a descriptor has the close-on-exec flag, which an inherited one never
// has. It is replaced too, and the runtime can do without it.
func standardDescriptors() {
	const getFD, closeOnExec, readWrite, atCWD, status = 1, 1, 2, ^uintptr(99), 69
	const badDescriptor = ^uintptr(9 - 1)
	for n := uintptr(0); n < 3; n++ {
		if flags := syscall(sysFcntl, n, getFD, 0, 0); flags != badDescriptor && flags != closeOnExec {
			continue
		}
		closed |= 1 << n
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

// catchBlocked is for a process that was started with blocked signals. Without idem,
// these would be pending in the command, so the pipe stores them for it. The runtime
// has unblocked some of them in every thread.
func catchBlocked() {
	if _, err := open(); err != 0 {
		return
	}
	for n := 1; n <= 64; n++ {
		if (blocked & catchable &^ Ignored() &^ SetOf(cont)).Has(n) {
			install(n)
		}
	}
	caught = uint64(blocked)
}

// catchable are the signals that can be caught, except those that stop a job. Catch also
// accepts TSTP.
const catchable = ^Set(1<<(kill-1) | 1<<(stop-1) | 1<<(tstp-1) | 1<<(ttin-1) | 1<<(ttou-1))

// Ignored returns the signals that were ignored when this process was started.
func Ignored() Set { return Set(ignored) }

// Blocked returns the signals that were blocked when this process was started.
func Blocked() Set { return blocked }

// Harmless returns the signals whose default action does nothing.
func Harmless() Set { return Set(harmless) }

// readEnd is the read end of the pipe. It is valid if fd is.
var readEnd int

// open makes the pipe once and returns its read end, which is non-blocking.
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

// Catch makes the signals of s, and no other signals, go to the descriptor that it
// returns, each as an Info. Signals that were ignored at the start stay ignored.
// Signals that were blocked at the start always go to the descriptor. All other
// signals have their default disposition.
//
// A PIPE or XFSZ that was caused by a write of this process is dropped, because the
// write returns the error. A signal that the kernel sends for a fault of this process
// does not go to the descriptor either.
//
// Calls must not run at the same time.
func Catch(s Set) (r int, errno uintptr) {
	if r, errno = open(); errno != 0 {
		return r, errno
	}
	if early && !preempted {
		// The runtime sends no second URG to a thread that has not received the
		// first. A first URG for the main thread may have come before init and is
		// lost. This affects only calls that run for long, so a replay does not spend
		// the 10 µs.
		preempted = true
		syscall(sysTkill, uintptr(pid), urg, 0, 0)
	}
	s &= (catchable | SetOf(tstp)) &^ Set(ignored)
	exchange(&caught, uint64(s|blocked))
	for n := 1; n <= 64; n++ {
		if s.Has(n) && !installed.Has(n) {
			install(n)
		}
	}
	return r, 0
}

// Missed returns the signals that were caught while the pipe was full, and clears
// them. The pipe has 512 records. Most signals of a sender that is faster than the
// reader are lost. But a signal of another number must not be lost among them. After
// a signal was missed, the pipe has a record whose Signo is 0, unless it is full.
func Missed() Set {
	if missed == 0 {
		return 0
	}
	return Set(exchange(&missed, 0))
}

// Default applies the default action of a signal that was caught. It sets the default
// disposition and sends the signal again.
func Default(n int) {
	if Harmless().Has(n) || ignored&(1<<(n-1)) != 0 {
		return
	}
	installed &^= SetOf(n)
	set(n, &fallback, nil)
	syscall(sysKill, uintptr(pid), uintptr(n), 0, 0)
}

// KeepPipe installs the handler of PIPE again after a call of signal.Ignore.
// Otherwise a command would inherit PIPE as ignored.
func KeepPipe() {
	if ignored&(1<<(pipe-1)) == 0 {
		a := caughtBy()
		set(pipe, &a, nil)
	}
}

// Leave makes all signals ignored that were ignored at the start, including those
// that the runtime needs. It is for a program that replaces this process.
func Leave() {
	for n := 1; n <= 64; n++ {
		if Ignored().Has(n) {
			set(n, &sigaction{handler: sigIgnore}, nil)
		}
	}
}

// WithMask calls f with the signal mask that the process was started with, for a
// process that f starts. The caller must have locked the thread.
func WithMask(f func()) {
	mask, old := uint64(blocked), uint64(0)
	syscall(sysSigprocmask, sigSetmask, uintptr(unsafe.Pointer(&mask)), uintptr(unsafe.Pointer(&old)), 8)
	f()
	syscall(sysSigprocmask, sigSetmask, uintptr(unsafe.Pointer(&old)), 0, 8)
}

// Unblock unblocks all signals in the calling thread. The caller must have locked the
// thread.
func Unblock() {
	all := ^uint64(0)
	syscall(sysSigprocmask, sigUnblock, uintptr(unsafe.Pointer(&all)), 0, 8)
}

// caughtBy returns the disposition of a signal that handler catches.
func caughtBy() sigaction {
	return sigaction{handler: handlerPC(), flags: saSiginfo | saOnstack | saRestart | restorerFlag, restorer: restorerPC(), mask: ^uint64(0)}
}

func install(n int) {
	a := caughtBy()
	if n == cont || n == urg || faults&(1<<(n-1)) != 0 { // these may have a handler of the runtime
		var old sigaction
		set(n, nil, &old)
		if n == cont && old.handler == sigIgnore { // initial does not report it
			ignored |= 1 << (n - 1)
			return
		}
		if old.handler > sigIgnore && old.handler != a.handler {
			previous[n] = old.handler
		}
	}
	set(n, &a, nil)
	installed |= SetOf(n)
}

func set(n int, act, old *sigaction) {
	syscall(sysSigaction, uintptr(n), uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)), 8)
}

// These functions are written in assembly.

// syscall makes a system call that does not block, and returns its result. A negative
// result is an error.
//
//go:noescape
func syscall(trap, a, b, c, d uintptr) uintptr

// exchange stores v in a word that the handler reads, and returns the old value.
//
//go:noescape
func exchange(p *uint64, v uint64) uint64

func handlerPC() uintptr
func restorerPC() uintptr

//lint:ignore U1000 the kernel calls it
func handler()

//lint:ignore U1000 the kernel calls it
func restorer()
