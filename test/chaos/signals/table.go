package signals

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// cell is one case of a signal that arrives while idem runs a command in the foreground
// of a terminal.
type cell struct {
	signal  unix.Signal
	to      string
	command string
	// bare means without idem: the job of the terminal is the command itself. This
	// tests the test, and it defines the effect that idem must not change.
	bare bool
}

// Senders and receivers of a signal, and the kinds of commands.
const (
	toIdem    = "idem alone"
	toGroup   = "the process group"
	byKey     = "from the terminal"
	byDefault = "default" // commands: without a handler
	handler   = "handler"
	ignore    = "ignore"
	session   = "setsid" // with a handler, in a separate session
)

var (
	matrixSignals  = []unix.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGTSTP, unix.SIGPIPE, unix.SIGUSR1}
	matrixTo       = []string{toIdem, toGroup, byKey}
	matrixCommands = []string{byDefault, handler, ignore, session}
)

// keys are the keys that send a signal. Closing the terminal sends HUP.
var keys = map[unix.Signal]string{unix.SIGINT: "\x03", unix.SIGQUIT: "\x1c", unix.SIGTSTP: "\x1a"}

// matrix returns all cells with idem, or all without idem. A command that leaves its
// session is not the job of the terminal, so it has no cells without idem.
func matrix(bare bool) (cells []cell) {
	for _, s := range matrixSignals {
		for _, to := range matrixTo {
			for _, c := range matrixCommands {
				if !bare || c != session {
					cells = append(cells, cell{s, to, c, bare})
				}
			}
		}
	}
	return cells
}

func (c cell) String() string {
	what := fmt.Sprintf("%s, %s, command: %s", name(c.signal), c.to, c.command)
	if c.bare {
		what += ", without idem"
	}
	return what
}

func name(s unix.Signal) string { return strings.TrimPrefix(unix.SignalName(s), "SIG") }

// expectation is the expected result of a cell.
type expectation struct {
	least, most int  // number of deliveries to the command
	seen        bool // the delivery is visible: it has a handler, dies or stops
	dies        bool // the command dies of the signal, and so does idem
	stops       bool // idem (or the bare command) stops until it is continued
	note        string
}

// expect derives the result from the sender, the receiver, the signals that idem passes on,
// and the disposition of the command.
func (c cell) expect() expectation {
	source := c.to != byKey || c.signal == unix.SIGHUP || keys[c.signal] != ""
	inGroup := c.command != session
	direct := source && inGroup && c.to != toIdem // the kernel delivers it to the command
	passed := false                               // idem passes it on
	switch c.signal {
	case unix.SIGINT, unix.SIGQUIT:
		passed = !inGroup
	case unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGPIPE:
		passed = source
	}
	if c.bare {
		direct, passed = source, false
	}
	var l expectation
	switch {
	case direct && passed:
		l.least, l.most = 1, 2
	case direct, passed:
		l.least, l.most = 1, 1
	}
	stopper := c.signal == unix.SIGTSTP
	l.seen = c.command != ignore
	l.dies = c.command == byDefault && l.most > 0 && !stopper
	l.stops = source && stopper && (!c.bare || c.command == byDefault)
	l.note = c.note(source, direct, passed)
	return l
}

// note returns the name of the remark on a difference from a command without idem.
func (c cell) note(source, direct, passed bool) string {
	switch {
	case c.bare:
		return ""
	case !source:
		return "no key"
	case direct && passed:
		return "twice"
	case c.to == toIdem && c.signal == unix.SIGTSTP:
		return "stop"
	case c.to == toIdem && !passed:
		return "foreground"
	case c.to != toIdem && passed:
		return "session"
	}
	return ""
}

// remarks explain the notes, in the order in which they appear.
var remarks = []struct{ name, text string }{
	{"foreground", "Not passed on. In the foreground of a terminal, idem assumes that an INT or QUIT comes from the terminal and that the command has received it, too. A second one would make many programs quit at once. TERM ends the command."},
	{"session", "Passed on, because the terminal cannot reach a command in another session."},
	{"twice", "The command receives it from the sender and from idem, which cannot know that the command already has it. The kernel merges two that are pending at the same time."},
	{"no key", "No key sends it. The test types all other control characters, which have no effect."},
	{"stop", "idem stops, the command does not. The command works until its pipe is full. A signal to the process group reaches both."},
}

// The columns of the table.

func (l expectation) sees() string {
	switch {
	case !l.seen:
		return "nothing"
	case l.most == 0:
		return "never"
	case l.dies:
		return "dies of it"
	case l.most == 2:
		return "once or twice"
	}
	return "once"
}

func (c cell) ends(l expectation) string {
	switch {
	case l.dies:
		return "dies of " + name(c.signal)
	case l.stops:
		return "stops, continued: 0"
	}
	return "0"
}

func (c cell) record(l expectation) string {
	if l.dies {
		return "failed, " + unix.SignalName(c.signal)
	}
	return "succeeded"
}

func (c cell) next(l expectation) string {
	switch {
	case l.dies:
		return "runs it again"
	case l.stops:
		return "busy (75), then a replay"
	}
	return "a replay"
}

// phasesText describes the tests of phases.go and their exceptions.
const phasesText = `
## Every signal, in every phase

This table is for calls without a terminal. It covers every signal from 1 to 64 that can be caught and that ends a process
by default. Such a signal has the same effect on ` + "`idem run`" + ` as on the bare command, from the first instruction of idem:

| phase | effect of the signal | record |
| --- | --- | --- |
| no command is started yet, also with ` + "`--wait`" + ` | idem dies of it | unchanged |
| a probe or a hook runs | the probe gets the signal, a hook gets TERM; then idem dies of it | unchanged |
| the command runs | the command gets it, and idem dies of the signal that the command dies of | the outcome of the command |
| delay before a retry | idem dies of it | the previous failure |
| replay, or the command has ended and the reader of its output stalls | idem dies of it | unchanged |

A signal sent with a value (sigqueue) reaches the command with that value. Signals that the caller ignores or blocks are
also ignored or blocked in the command, in hooks and in probes. A blocked signal that is sent to idem is pending in the
command.

The exceptions:

- KILL and STOP cannot be caught. TSTP, TTIN, TTOU and CONT stop and continue idem, not the command (remark 5).
- A signal that arrives while the command is exiting goes to the command and has no effect there. After INT, QUIT, TERM
  and HUP, idem ends the call without a retry. After other signals, the retry follows. A second signal ends idem.
- After a signal during a probe or a start hook, the hooks of ` + "`aborted`" + ` run before idem dies. After a signal during the
  command, those of its outcome do. No hooks run after a signal before the start, during a wait or a replay.
- A signal that arrives after the outcome is recorded ends idem. The record keeps the outcome, and the next call replays
  it.
- The command sees idem as the sender. With ` + "`--timeout`" + ` all processes of the command get the signal, without a value.
  With ` + "`--tty`" + ` the foreground processes of its terminal get it.
- BUS, FPE, SEGV, URG and CHLD that the caller ignores have the default action in the command. Without a handler for the
  first three, idem could not report its own faults. Without CHLD, it could not wait for the command.
- Where core files are allowed, a signal such as QUIT that ends idem while no command runs leaves a core file of idem.
- A fault of idem itself is reported with a Go stack trace and ends in ABRT, never in status 2.
- On systems other than Linux, and on Linux on machines other than amd64 and arm64, the Go runtime has its own handlers.
  While no command runs, QUIT and ABRT end idem with a stack trace and status 2, and USR1, USR2 and ALRM are dropped.
  While one runs, PROF, XFSZ, BUS, FPE, SEGV, ILL and real-time signals are not passed on, and neither is PIPE. If
  the caller ignores signals, the command ignores only HUP and INT of them.
`

// writePage writes docs/signals.md.
func writePage(w io.Writer) {
	fmt.Fprint(w, `# Signals

This page lists the effect of each signal while `+"`idem run`"+` has a command in the foreground of a terminal. The command
is one of four kinds:

- default: it has no handler.
- handler: it counts the signals in a handler.
- ignore: it ignores the signal.
- setsid: it has a handler and runs in a separate session.

A command that survives the signal exits with 0 afterwards. "From the terminal" means a key: Ctrl-C for INT, Ctrl-\ for
QUIT, Ctrl-Z for TSTP. For HUP it means that the terminal closes.

`+"`go test ./test/chaos/signals -run SignalsPage -update`"+` generates this page. `+"`go run ./test/chaos signals`"+` tests each
line on a separate terminal, and also without idem where that is possible. A number refers to a remark at the end. It
marks a difference from the same signal without idem.
`)
	for _, s := range matrixSignals {
		fmt.Fprintf(w, "\n## %s\n\n| sent | command | it sees the signal | idem ends with | record | next call |\n| --- | --- | --- | --- | --- | --- |\n", name(s))
		for _, c := range matrix(false) {
			if c.signal != s {
				continue
			}
			l := c.expect()
			to := c.to
			if c.to != byKey {
				to = "to " + to
			}
			sees := l.sees()
			if n := remark(l.note); n > 0 {
				sees += fmt.Sprintf(" (%d)", n)
			}
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", to, c.command, sees, c.ends(l), c.record(l), c.next(l))
		}
	}
	fmt.Fprint(w, phasesText)
	fmt.Fprint(w, "\n## Remarks\n\n")
	for i, r := range remarks {
		fmt.Fprintf(w, "%d. %s\n", i+1, r.text)
	}
}

// remark returns the number of a remark, 0 for none.
func remark(note string) int {
	return 1 + slices.IndexFunc(remarks, func(r struct{ name, text string }) bool { return r.name == note })
}
