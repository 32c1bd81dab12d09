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
	f.Var(&o.streams, "replay", "choose which streams a replay writes: all, stdout, stderr or none")
	f.BoolVar(&o.partial, "partial", false, "accept a replay that lacks a part of stdout: warn, and exit with the recorded status instead of 74")
	f.BoolVar(&o.exact, "exact", false, "refuse (status 69) a replay that may differ from what the command wrote")
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

// leftBehind is why the end of an output may be missing.
const leftBehind = "a process that the command left behind could still write to it"

// lacksTexts returns how a replay differs from what the command wrote. Each text
// has an end for the sentence "the recorded output of key K …", and a detail.
func lacksTexts(a ledger.Attempt, k runner.Lacks) (texts [][2]string) {
	if k.Stdout || k.Stderr {
		texts = append(texts, [2]string{"is not complete", cutText(a, k)})
	}
	if k.Incomplete {
		texts = append(texts, [2]string{"may lack its last lines", leftBehind})
	}
	if k.Redacted {
		texts = append(texts, [2]string{"is redacted", "secrets were removed from it"})
	}
	if k.NotStored {
		texts = append(texts, [2]string{"was not stored", fmt.Sprintf("--no-store or --max-output 0 was given; %d bytes are missing", a.OutputBytes)})
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
		return fail(exitOutput, "the recorded output of key %s is not complete", key).
			detail("%s", cutText(cur, res.Lacks)).
			hintFlags("to accept a part of the output", "--partial").
			hintFlags("to have the status without the output", "--replay none")
	}
	f := fail(exitOutput, "the output of key %s could not be written", key).
		detail("the command is done and recorded").
		detail("%s", faultsText(res.Streams))
	switch {
	case cur.NoOutput || cur.Truncated || cur.Incomplete:
		return f.hintFor(call.ID, "to see the recorded part of the output", "logs")
	case call.Policy.Force || call.Policy.TTL > 0:
		return f.hintFor(call.ID, "to see the recorded output", "logs")
	default:
		return f.hint("to get the output without another run, call again when it can be written")
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
			a.ui.say(warningMark, "a part of the output of key %s is missing here", key)
			a.ui.say(detailMark, "%v", err)
		}
	}
	if res.Action == runner.ActionReplay {
		lacks := res.Lacks
		if told != nil && len(res.Streams) == 0 {
			lacks.Stdout, lacks.Stderr = false, false
		}
		for _, text := range lacksTexts(cur, lacks) {
			a.ui.warn("the recorded output of key %s %s", key, text[0])
			a.ui.warnDetail("%s", text[1])
		}
		return
	}
	if cur.Truncated {
		a.ui.warn("not all of the output of key %s could be recorded (%d bytes)", key, cur.OutputBytes)
	}
	if cur.Incomplete {
		a.ui.warn("the output of key %s may lack its last lines, here and in a replay", key)
		a.ui.warnDetail(leftBehind)
		a.ui.hint(advice("redirect the output of a background process, or let the command wait for it"))
	}
}

// inexactFailure is for a call with --exact.
func inexactFailure(err error, k runner.Lacks) *failure {
	var why []string
	for _, name := range lacksNames(k) {
		why = append(why, map[string]string{
			"stdout_cut": "stdout was cut", "stderr_cut": "stderr was cut", "incomplete": "its last lines may be missing",
			"redacted": "secrets were removed from it", "not_stored": "it was not stored", "files": "what it appended to a file is not recorded",
		}[name])
	}
	return (&failure{code: exitLedger, err: err, details: why}).
		detail("the command is done and was not run again").
		hintUnflagged("to get the recorded output", "--exact")
}
