package cmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"idem/ledger"
	"idem/runner"
)

// replayFlags are the flags that choose the streams of a replay and how complete it
// must be.
type replayFlags struct {
	streams        choice
	partial, exact bool
	value          bool // a script reads stdout as a value: of idem step
}

func newReplayFlags() replayFlags {
	return replayFlags{streams: choice{value: "all", of: []string{"all", "stdout", "stderr", "none"}}}
}

func (o *replayFlags) addTo(f *pflag.FlagSet) {
	f.Var(&o.streams, "replay", "choose which streams a replay writes: all, stdout, stderr or none")
	f.BoolVar(&o.partial, "partial", false, "accept a replay that lacks a part of stdout: warn, and exit with the recorded status instead of 74")
	f.BoolVar(&o.exact, "exact", false, "refuse (status 69) a replay that may differ from what the command wrote")
}

// replayed returns the streams of all that a replay writes.
func (o *replayFlags) replayed(all runner.Streams) runner.Streams {
	if v := o.streams.value; v != "all" && v != "stdout" {
		all.Stdout = nil
	}
	if v := o.streams.value; v != "all" && v != "stderr" {
		all.Stderr = nil
	}
	return all
}

func (o *replayFlags) replayPolicy() runner.ReplayPolicy {
	return runner.ReplayPolicy{Exact: o.exact, Partial: o.partial, Value: o.value}
}

// cutText returns how many bytes a recording lacks.
func cutText(a ledger.Attempt, k runner.Lacks) string {
	return fmt.Sprintf("%d of %d bytes are missing", k.Missing, a.OutputBytes)
}

// leftBehind is the reason for an output that may lack its end.
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
	if k.Removed {
		texts = append(texts, [2]string{"was removed", removedText(a)})
	}
	if k.NotStored {
		texts = append(texts, [2]string{"was not stored", fmt.Sprintf("--no-store or --max-output 0 was given; %d bytes are missing", a.OutputBytes)})
	}
	return texts
}

// removedText says when the output of an attempt was removed. An attempt that was read before the
// removal does not know.
func removedText(a ledger.Attempt) string {
	at := "just now"
	if !a.OutputRemoved.IsZero() {
		at = "on " + stamp(a.OutputRemoved)
	}
	return fmt.Sprintf("%s; it had %d bytes", at, a.OutputBytes)
}

// lacksNames returns names for the same differences, for scripts.
func lacksNames(k runner.Lacks) []string {
	names := []string{}
	for _, l := range []struct {
		set  bool
		name string
	}{{k.Stdout, "stdout_cut"}, {k.Stderr, "stderr_cut"}, {k.Incomplete, "incomplete"}, {k.Redacted, "redacted"}, {k.NotStored, "not_stored"}, {k.Unknown, "unknown"}, {k.Removed, "removed"}, {k.Files, "files"}} {
		if l.set {
			names = append(names, l.name)
		}
	}
	return names
}

// undeliveredFailure returns the failure of a successful call whose caller lacks a part
// of the output, nil if the caller has all of it.
func undeliveredFailure(res runner.Result, call runner.Call) *failure {
	if !call.Undelivered(res) || res.Record.Current.State != ledger.Succeeded {
		return nil
	}
	if len(res.Streams) == 0 {
		return fail(exitOutput, "the recorded output of key %s is not complete", quote(call.ID.Key)).
			detail("%s", cutText(res.Record.Current, res.Lacks)).
			hintFlags("to accept a part of the output", "--partial").
			hintFlags("to have the status without the output", "--replay none")
	}
	return unwrittenFailure(res, call, res.Streams)
}

// unwrittenFailure returns the failure of a successful call whose output could not be
// written because of faults.
func unwrittenFailure(res runner.Result, call runner.Call, faults []error) *failure {
	cur := res.Record.Current
	f := fail(exitOutput, "the output of key %s could not be written", quote(call.ID.Key))
	if res.Record.Generation == 0 { // of a call without its ledger
		return f.detail("the command is done, without a record").detail("%s", faultsText(faults))
	}
	f.detail("the command is done and recorded").detail("%s", faultsText(faults))
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

// reportOutput warns of faults of the output of a call. It prints that output was not
// delivered even with -q, unless failed, the failure of the call, already says so.
func (a *app) reportOutput(res runner.Result, call runner.Call, failed *failure) {
	key, cur := quote(call.ID.Key), res.Record.Current
	if failed == nil || len(res.Streams) == 0 {
		for _, err := range res.Streams {
			a.ui.say(warningMark, "a part of the output of key %s is missing here", key)
			a.ui.say(detailMark, "%v", err)
		}
	}
	if res.Action == runner.ActionReplay {
		lacks := res.Lacks
		if failed != nil && len(res.Streams) == 0 {
			lacks.Stdout, lacks.Stderr = false, false
		}
		for _, text := range lacksTexts(cur, lacks) {
			a.ui.warn("the recorded output of key %s %s", key, text[0])
			a.ui.warnDetail("%s", text[1])
		}
		return
	}
	if a.warnRecording("key "+key, cur) {
		a.ui.hint(waitForChildren)
	}
}

// warnRecording warns of an output that was not recorded completely. what names the key or the
// item. It reports whether the output may lack its end, for which waitForChildren is the hint.
func (a *app) warnRecording(what string, cur ledger.Attempt) bool {
	if cur.Truncated {
		a.ui.warn("not all of the output of %s could be recorded (%d bytes)", what, cur.OutputBytes)
	}
	if cur.Incomplete {
		a.ui.warn("the output of %s may lack its last lines, here and in a replay", what)
		a.ui.warnDetail(leftBehind)
	}
	return cur.Incomplete
}

var waitForChildren = advice("redirect the output of a background process, or let the command wait for it")

// inexactFailure returns the failure of a call with --exact whose replay would differ.
func inexactFailure(err error, k runner.Lacks) *failure {
	var why []string
	for _, name := range lacksNames(k) {
		why = append(why, map[string]string{
			"stdout_cut": "stdout was cut", "stderr_cut": "stderr was cut", "incomplete": "its last lines may be missing",
			"redacted": "secrets were removed from it", "not_stored": "it was not stored", "unknown": "it was marked by hand, without the output of the command",
			"removed": "it was removed", "files": "what it appended to a file is not recorded",
		}[name])
	}
	f := (&failure{code: exitLedger, err: err, details: why}).
		detail("the command is done and was not run again")
	if step := (*stepValueError)(nil); errors.As(err, &step) {
		if k.Unknown || k.Removed { // "forget" would repeat an effect that the user has seen
			return f.hintFor(step.id, "if the script does not use its output", "mark", "done", "--force", "--stdout-file", "/dev/null").
				hint("if it does, give that command the output of the step: --stdout-file FILE")
		}
		return f.hintFlags("if the script does not use its output", "--replay none").
			hintFor(step.id, "to see the recorded output", "logs").
			hintFor(step.id, "to run the step again at the next call, with a new IDEM_TOKEN", "forget")
	}
	if k.Removed {
		return f.hintUnflagged("to have the recorded status without the output", "--exact")
	}
	return f.hintUnflagged("to get the recorded output", "--exact")
}
