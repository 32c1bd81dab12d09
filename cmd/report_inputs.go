package cmd

import (
	"os"
	"slices"
	"strings"
	"time"

	"idem/hashkey"
	"idem/inputs"
	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

// starting returns the function that the runner calls before each attempt, but not
// before a replay. The function returns the inputs to store, with the files that the
// attempt runs. The first call also warns of inputs that may be a mistake.
func (a *app) starting(o *runOptions, in hashkey.Inputs, argv []string, keep retention) func(path string) []byte {
	warned := false
	return func(path string) []byte {
		if !warned {
			warned = true
			a.warnInputs(o, in)
		}
		return keep.inputs(append(slices.Clone(in), programs(path, argv)...)).Encode()
	}
}

// programs returns the files that a command line runs. It returns none if opening a
// file would end idem.
func programs(path string, argv []string) hashkey.Inputs {
	if proc.Sound() != nil {
		return nil
	}
	return inputs.Programs(path, argv)
}

// warnInputs warns of files and variables that flags name but that do not exist, and
// of an unknown time zone.
func (a *app) warnInputs(o *runOptions, in hashkey.Inputs) {
	for _, m := range o.inputs.Missing(in) {
		a.warnMissing(m)
	}
	if o.unknownLocalZone() {
		a.ui.warn("--per %s uses UTC: TZ is not set and /etc/localtime cannot be read", o.per.Per)
		a.ui.hint(flagAdvice("to set the time zone", "--tz Europe/Berlin"))
	}
}

func (a *app) warnMissing(m inputs.Missing) {
	value := shellQuote(m.Value)
	switch {
	case m.Kind == hashkey.KindEnv && m.Pattern:
		a.ui.warn("--hash-env %s matches no variable", value)
	case m.Kind == hashkey.KindEnv && a.ui.verbose: // a variable is often left unset on purpose
		a.ui.note("--hash-env %s: the variable is not set, and counts as missing", value)
	case m.Kind == hashkey.KindEnv:
	default:
		if m.Pattern {
			a.ui.warn("--hash-file %s matches no file", value)
		} else {
			a.ui.warn("--hash-file %s: no such file", value)
		}
		a.ui.hint(advice("if the file may be absent, use: --hash-file-optional %s", value))
	}
}

// unknownLocalZone reports whether the windows of a call are those of UTC only
// because the system does not know its time zone.
func (o *calendarFlags) unknownLocalZone() bool {
	// time.Local has the name "Local" if it was read from /etc/localtime.
	if _, set := os.LookupEnv("TZ"); set || !o.inCalendar() || o.zone != "" || time.Local.String() == "Local" {
		return false
	}
	// In a container without the tz database, a dangling link to UTC sets the zone.
	target, _ := os.Readlink("/etc/localtime")
	return !strings.HasSuffix(target, "/UTC")
}

// drift is a change since an attempt in something that is not an input.
type drift struct {
	name, text string
	flag       string // the flag that makes it an input; "" if none does
}

// driftOf compares the files that an attempt ran with those that a call of argv
// would run. It leaves out files that it cannot read.
func driftOf(was ledger.Attempt, argv []string) []drift {
	old, err := hashkey.Decode(was.Inputs)
	if err != nil || len(argv) == 0 {
		return nil
	}
	var now hashkey.Inputs
	if path, err := proc.LookPath(argv[0]); err == nil {
		now = programs(path, argv)
	}
	var list []drift
	for _, d := range inputs.Drifts(old, now) {
		name, flag := "file "+escape(d.Name), "--hash-file "+shellQuote(d.Name)
		switch d.Change {
		case inputs.Gone:
			list = append(list, drift{d.Name, name + ", which it ran, is no longer there", ""})
		case inputs.Replaced:
			list = append(list, drift{d.Name, name + " differs from " + escape(d.Was) + ", which it ran", flag})
		case inputs.Touched:
			list = append(list, drift{d.Name, name + " may not be the one that it ran: its size, time or inode differs", flag})
		default:
			list = append(list, drift{d.Name, name + " has changed since it ran", flag})
		}
	}
	return list
}

// stdinDrift returns a drift if stdin has data but is not an input.
func stdinDrift(call runner.Call) []drift {
	// With --hash-stdin, the command reads another file.
	if call.TTY || call.Stdin != os.Stdin || !inputs.HasData(os.Stdin) {
		return nil
	}
	return []drift{{"stdin", "stdin has data", "--hash-stdin"}}
}

// reportDrift prints after a replay the changes since the attempt that are not inputs.
// It reads files only if notes are shown.
func (a *app) reportDrift(res runner.Result, call runner.Call) {
	if res.Action != runner.ActionReplay || !a.ui.notes() {
		return
	}
	for _, d := range append(driftOf(res.Record.Current, call.Argv), stdinDrift(call)...) {
		a.ui.say(noteMark, "%s", d.text)
		a.ui.say(detailMark, "it is not an input, so idem replayed the result")
		if d.flag != "" {
			a.ui.hint(flagAdvice("to make it an input", d.flag))
		}
	}
}

// uncountedStates returns, for explain, the changes since the attempt that are not
// inputs.
func uncountedStates(q question) []inputState {
	var states []inputState
	if q.Record.Phase() == ledger.PhaseNone || q.Record.Phase() == ledger.PhaseRunning {
		return nil
	}
	list := driftOf(q.Record.Current, q.call.Argv)
	if q.Action == runner.ActionReplay {
		list = append(list, stdinDrift(q.call)...)
	}
	for _, d := range list {
		st := inputState{Name: d.name, State: "uncounted", Change: d.text}
		if d.flag != "" {
			st.Change += "; " + d.flag + " makes it count"
		}
		states = append(states, st)
	}
	return states
}
