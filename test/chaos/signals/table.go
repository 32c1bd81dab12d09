package signals

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A cell is one way for a signal to come while idem runs a command in the
// foreground of a terminal.
type cell struct {
	signal  unix.Signal
	to      string
	command string
	// Without idem: the terminal's job is the command itself. It is how the
	// trial is tried, and what "as if idem were not there" is held against.
	bare bool
}

// Where a signal goes, or comes from.
const (
	toIdem    = "idem alone"
	toGroup   = "the process group"
	byKey     = "from the terminal"
	byDefault = "default" // commands: without a handler
	handler   = "handler"
	ignore    = "ignore"
	session   = "setsid" // with a handler, in a session of its own
)

var (
	matrixSignals  = []unix.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGTSTP, unix.SIGPIPE, unix.SIGUSR1}
	matrixTo       = []string{toIdem, toGroup, byKey}
	matrixCommands = []string{byDefault, handler, ignore, session}
)

// keys are what sends a signal from a terminal. HUP comes from closing it.
var keys = map[unix.Signal]string{unix.SIGINT: "\x03", unix.SIGQUIT: "\x1c", unix.SIGTSTP: "\x1a"}

// matrix returns all cells with idem, or those without that there can be: what
// leaves its session is not the job of a terminal any more.
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

// expectation is what is expected of a cell.
type expectation struct {
	least, most int  // deliveries that the command may see
	seen        bool // they can be seen: it has a handler, or dies, or stops
	dies        bool // the command, and so idem, of the signal
	stops       bool // idem (or the bare command), until it is continued
	note        string
}

// expect follows from who sends the signal to whom, and from one rule each for
// what idem passes on and what a disposition does.
func (c cell) expect() expectation {
	source := c.to != byKey || c.signal == unix.SIGHUP || keys[c.signal] != ""
	inGroup := c.command != session
	direct := source && inGroup && c.to != toIdem // the kernel gives it to the command
	passed := false                               // idem does
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

// note names the remark on a cell that differs from a command without idem.
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
	{"foreground", "Not passed on: in the terminal's foreground idem takes an INT or QUIT to be the terminal's, which the command has got by itself, and giving it a second one would make many programs quit at once. TERM ends the command."},
	{"session", "Passed on, since the command is out of the terminal's reach and nobody else could end it from there."},
	{"twice", "Once from where it came from, and once from idem, which cannot know that the command has got it already. The kernel makes one of two that are there at the same time."},
	{"no key", "No key sends it. Typed are all other control characters, and nothing comes of them."},
	{"stop", "idem is stopped, not the command, which works on until its pipe is full. Signals for both reach both."},
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

// phasesText is what the part of chaos about deliveries tries, and its exceptions.
const phasesText = `
## Every signal, in every phase

Without a terminal, every signal from 1 to 64 that can be caught and that ends a process by default does to ` + "`idem run`" + `
what it does to the bare command, from the first instruction of idem on:

| while | the signal | record |
| --- | --- | --- |
| nothing is started yet, with ` + "`--wait`" + ` too | idem dies of it | as it was |
| a probe or a hook runs | the probe gets the signal, a hook gets TERM; then idem dies of it | as it was |
| the command runs | the command gets it, and idem dies of what the command dies of | what the command came to |
| a retry is waited for | idem dies of it | the failure before |
| output is replayed, or the reader of a command that is done stalls | idem dies of it | as it is |

A signal that was sent with a value (sigqueue) reaches the command with it. Signals that the caller ignores or blocks are
ignored and blocked in the command, in hooks and in probes; a blocked signal that is sent to idem is pending in the
command.

The exceptions:

- KILL and STOP cannot be caught. TSTP, TTIN, TTOU and CONT stop and continue idem, not the command (remark 5).
- A signal that comes while the command is exiting is given to the command, which takes no notice of it. idem then
  goes on to what follows: INT, QUIT, TERM and HUP end the call without a retry, after others the retry comes. A second
  signal ends idem.
- A signal that comes when the outcome is recorded ends idem; the record keeps the outcome, and the next call replays it.
- The command sees idem as the sender. With ` + "`--timeout`" + ` all processes of the command get the signal, and no value;
  with ` + "`--tty`" + ` the processes in the foreground of its terminal.
- BUS, FPE, SEGV, URG and CHLD that the caller ignores have the default action in the command. Without a handler for the
  first three idem could not report a fault of its own; without CHLD it could not wait for the command.
- Where core files are allowed, a signal such as QUIT that ends idem while no command runs leaves one of idem.
- A fault of idem's own is reported with Go's stack trace and ends in ABRT, never in status 2.
- On other systems than Linux, and on Linux on other machines than amd64 and arm64, Go's runtime has handlers of its own:
  while no command runs, QUIT and ABRT end idem with a stack trace and status 2, and USR1, USR2 and ALRM are dropped;
  while one runs, PROF, XFSZ, BUS, FPE, SEGV, ILL and real-time signals are not passed on, and neither is PIPE. Of the
  signals that the caller ignores, only HUP and INT are ignored in the command.
`

// writePage writes the table for people.
func writePage(w io.Writer) {
	fmt.Fprint(w, `# Signals

What happens when a signal comes while `+"`idem run`"+` has a command in the foreground of a terminal: the command has no
handler (default), counts in a handler, ignores the signal, or has gone into a session of its own (setsid) and counts
there. A command that outlives the signal exits with 0 afterwards. "From the terminal" is a key: Ctrl-C for INT,
Ctrl-\ for QUIT, Ctrl-Z for TSTP; for HUP it is the closing of the terminal.

This page is written by `+"`go test ./test/chaos -run SignalsPage -update`"+`, and
`+"`go run ./test/chaos signals`"+` tries each line on a terminal of its own, and those that can be
tried without idem without it, too. A number refers to a remark at the end: there the command sees something else than
it would without idem.
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

// remark is the number of a remark, 0 for none.
func remark(note string) int {
	return 1 + slices.IndexFunc(remarks, func(r struct{ name, text string }) bool { return r.name == note })
}
