package cmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"idem/ledger"
	"idem/runner"
)

// replayFlags say what a replay writes, and what it must be like.
type replayFlags struct {
	streams        choice
	partial, exact bool
}

func newReplayFlags() replayFlags {
	return replayFlags{streams: choice{value: "all", of: []string{"all", "stdout", "stderr", "none"}}}
}

func (o *replayFlags) flags(f *pflag.FlagSet) {
	f.Var(&o.streams, "replay", "which streams a replay writes: `CHOICE` of all, stdout, stderr or none")
	f.BoolVar(&o.partial, "partial", false, "accept a replay that lacks a part of stdout: warn, and exit with the recorded status instead of 74")
	f.BoolVar(&o.exact, "exact", false, "refuse (69) a replay that is not exactly what the command wrote: cut, redacted, not stored, or perhaps without its last lines; also without what it appended to a --replay-file")
}

// replayed returns the streams that a replay writes.
func (o *replayFlags) replayed(u *ui) runner.Streams {
	var s runner.Streams
	if v := o.streams.value; v == "all" || v == "stdout" {
		s.Stdout = u.stdout
	}
	if v := o.streams.value; v == "all" || v == "stderr" {
		s.Stderr = u.stderr
	}
	return s
}

func (o *replayFlags) replayPolicy() runner.ReplayPolicy {
	return runner.ReplayPolicy{Exact: o.exact, Partial: o.partial}
}

// cutText says how much a recording lacks.
func cutText(a ledger.Attempt, k runner.Lacks) string {
	return fmt.Sprintf("%d of %d bytes are missing", k.Missing, a.OutputBytes)
}

// lacksTexts says, for the sentence "the recorded output of key K …", all that
// makes a replay differ from what the command wrote.
func lacksTexts(a ledger.Attempt, k runner.Lacks) (texts []string) {
	if k.Stdout || k.Stderr {
		texts = append(texts, "is not complete: "+cutText(a, k))
	}
	if k.Incomplete {
		texts = append(texts, "may lack its last lines: a process that the command left behind could still write to it")
	}
	if k.Redacted {
		texts = append(texts, "is redacted: something was taken out of it")
	}
	if k.NotStored {
		texts = append(texts, fmt.Sprintf("was not to be stored (--no-store or --max-output 0): %d bytes are missing", a.OutputBytes))
	}
	return texts
}

// lacksNames are the same for scripts.
func lacksNames(k runner.Lacks) []string {
	names := []string{}
	for _, l := range []struct {
		set  bool
		name string
	}{{k.Stdout, "stdout_cut"}, {k.Stderr, "stderr_cut"}, {k.Incomplete, "incomplete"}, {k.Redacted, "redacted"}, {k.NotStored, "not_stored"}, {k.Files, "files"}} {
		if l.set {
			names = append(names, l.name)
		}
	}
	return names
}

// undelivered is the failure of a call whose command is done, with status 0, and
// whose caller lacks output that it was to get. Nil when it has all.
func undelivered(res runner.Result, call runner.Call) *failure {
	if !call.Undelivered(res) || exitStatus(res.Record.Current) != exitOK {
		return nil
	}
	key, cur := quote(call.ID.Key), res.Record.Current
	if len(res.Streams) == 0 {
		return fail(exitOutput, "the recorded output of key %s is not complete: %s", key, cutText(cur, res.Lacks)).
			hintFlags("if a part of the output will do", "--partial").
			hintFlags("to have the status without the output", "--replay none")
	}
	f := fail(exitOutput, "the command of key %s is done and recorded, but its output could not be written here: %s", key, faultsText(res.Streams))
	switch {
	case cur.NoOutput || cur.Truncated || cur.Incomplete:
		return f.hintFor(call.ID, "not all of the output is recorded, see what is", "logs")
	case call.Policy.Force || call.Policy.TTL > 0:
		return f.hintFor(call.ID, "see the output, which is recorded", "logs")
	default:
		return f.hint("call again when it can be written, to have the output without another run of the command")
	}
}

func faultsText(faults []error) string {
	return strings.ReplaceAll(errors.Join(faults...).Error(), "\n", "; ")
}

// tellOutput warns of faults of the output of a call. With -q as well, it says that
// output did not arrive. told is the failure that says so already.
func (a *app) tellOutput(res runner.Result, call runner.Call, told *failure) {
	key, cur := quote(call.ID.Key), res.Record.Current
	if told == nil || len(res.Streams) == 0 {
		for _, err := range res.Streams {
			a.ui.line(a.ui.stderr, "", "not all of the output of key %s is here: %v", key, err)
		}
	}
	if res.Action == runner.ActionReplay {
		lacks := res.Lacks
		if told != nil && len(res.Streams) == 0 {
			lacks.Stdout, lacks.Stderr = false, false
		}
		for _, text := range lacksTexts(cur, lacks) {
			a.ui.warn("the recorded output of key %s %s", key, text)
		}
		return
	}
	if cur.Truncated {
		a.ui.warn("not all of the output of key %s could be recorded (%d bytes)", key, cur.OutputBytes)
	}
	if cur.Incomplete {
		a.ui.warn("the output of key %s may lack its last lines, here and in a replay: a process that the command left behind could still write to it", key)
		a.ui.hint(advice("redirect the output of a background process, or let the command wait for it"))
	}
}

// inexactFailure is for a call with --exact.
func inexactFailure(err error, k runner.Lacks) *failure {
	var why []string
	for _, name := range lacksNames(k) {
		why = append(why, map[string]string{
			"stdout_cut": "stdout was cut", "stderr_cut": "stderr was cut", "incomplete": "its last lines may be missing",
			"redacted": "something was taken out of it", "not_stored": "it was not to be stored", "files": "what it appended to a file is not recorded",
		}[name])
	}
	return (&failure{code: exitLedger, err: fmt.Errorf("%w: %s", err, strings.Join(why, ", "))}).
		hintUnflagged("the command is done and was not run again; to have what is recorded", "--exact")
}
