package cmd

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"idem/hashkey"
	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

// maxChanges is how many changed inputs a message lists.
const maxChanges = 5

// mismatchFailure returns the failure of a call whose inputs differ from the recorded
// ones.
func mismatchFailure(rec ledger.Record, call runner.Call) *failure {
	cur, other := rec.Current, "a new operation needs a new key"
	if call.Origin.Parent != (ledger.ID{}) {
		other = "another step needs another name"
	}
	f := fail(exitMismatch, "key %s was recorded with different inputs", keyShown(rec))
	f.details = changes(cur, call)
	f.detail("recorded %s %s", timeText(cur.Started), ownerText(cur.Owner)).
		detailVerbose("fingerprint: was %s, now %s", shortPrint(cur.Fingerprint), shortPrint(call.Inputs.Fingerprint))
	switch cur.State {
	case ledger.Failed:
		f.detail("%s %s", attemptText(cur), outcomeText(cur)).
			hintFlags("to run the corrected command", "--on-mismatch rerun").
			hintFor(rec.ID, "to run the corrected command as if the key were new", "forget")
	case ledger.Running:
		if !rec.Alive {
			f.detail("attempt %d was interrupted; settle it first", cur.Number).hintSettle(rec.ID)
		}
		f.hint("%s", other)
	default:
		f.hint("%s", other).
			hintFlags("to run this one again with the new inputs", "--on-mismatch rerun")
	}
	if call.Origin.Parent != (ledger.ID{}) {
		f.hint("if a loop runs the step several times, give it a name per item, such as %s", quote(stepName(call)+"-$item"))
	}
	return hintSecret(f, cur, call)
}

// changes lists what differs between a recorded attempt and a call.
func changes(was ledger.Attempt, call runner.Call) []string {
	diff, err := differences(was, call)
	if err != nil {
		return []string{"the changed inputs are not recorded"}
	}
	var list []string
	for i, c := range diff {
		if i == maxChanges {
			list = append(list, fmt.Sprintf("and %d more, which idem explain lists", len(diff)-i))
			break
		}
		list = append(list, changeText(c, ":"))
	}
	return list
}

// difference is a change of an input. It is sure if the stored value shows it, or if
// the fingerprints differ and no other input can be the reason.
type difference struct {
	hashkey.Change
	sure bool
}

// differences compares the inputs of a recorded attempt and of a call.
func differences(was ledger.Attempt, call runner.Call) ([]difference, error) {
	if was.Fingerprint == call.Inputs.Fingerprint {
		return nil, nil // hidden values are equal too
	}
	old, err := hashkey.Decode(was.Inputs)
	if err != nil {
		return nil, err
	}
	is, err := hashkey.Decode(call.Inputs.Encoded)
	if err != nil {
		return nil, err
	}
	var list []difference
	diff := hashkey.Diff(old, is)
	for _, c := range diff {
		list = append(list, difference{c, !c.Hidden || len(diff) == 1})
	}
	return list, nil
}

// values returns the values of a change as a message shows them. ok reports whether they
// may be shown and differ.
func (c difference) values() (old, new string, ok bool) {
	switch c.Kind {
	case hashkey.KindArg, hashkey.KindValue, hashkey.KindCwd:
		if !c.Hidden && !c.Masked {
			old, new = excerpts(c.Old, c.New)
			return old, new, true
		}
	}
	return "", "", false
}

// changeText describes a change. It has the values of arguments, but not the values of
// variables and files. colon follows a name before its values.
func changeText(c difference, colon string) string {
	if c.Hidden {
		state := "redacted"
		if c.Old == nil && c.New == nil {
			state = "not stored"
		}
		if c.sure {
			return fmt.Sprintf("%s, which is %s, has changed", escape(c.Name), state)
		}
		return fmt.Sprintf("%s, which is %s, may have changed", escape(c.Name), state)
	}
	if old, new, ok := c.values(); ok {
		return fmt.Sprintf("%s%s was %s, now %s", escape(c.Name), colon, old, new)
	}
	if c.Masked {
		return escape(c.Name) + " (masked) has changed"
	}
	gone := hashkey.Absent()
	switch {
	case c.Old == nil:
		return escape(c.Name) + " was not an input, now it is"
	case c.New == nil:
		return escape(c.Name) + " was an input, now it is not"
	case bytes.Equal(c.Old, gone):
		return escape(c.Name) + " was missing, now it is there"
	case bytes.Equal(c.New, gone):
		return escape(c.Name) + " was there, now it is missing"
	default:
		return escape(c.Name) + " has changed" + fileChanges(c.Files, maxChanges)
	}
}

// shortPrint returns the start of a fingerprint, enough to compare it by eye.
func shortPrint(fingerprint string) string {
	const n = len("h1:") + 12
	return fingerprint[:min(n, len(fingerprint))]
}

// busyFailure returns the failure of a call for a key that is running or whose processes
// are still alive.
func busyFailure(rec ledger.Record, leftover bool, holders []ledger.Process, call runner.Call) *failure {
	key := keyShown(rec)
	cur := rec.Current
	switch {
	case leftover:
		f := fail(exitBusy, "key %s is busy: processes of attempt %d are still alive", key, cur.Number).
			detail("%s", startedText(cur))
		if list := processes(holders); list != "" {
			f.detail("still alive: %s", list)
		}
		return f.hintWait(call, "to wait until they are gone")
	case cur.State == ledger.Running:
		return fail(exitBusy, "key %s is running%s", key, runningText(rec)).
			detail("%s", startedText(cur)).
			hintShare(call)
	default: // claimed, but the attempt has not begun yet or has already ended
		where := ""
		if l := elsewhere(rec); l != nil {
			where = " on " + hostName(l)
		}
		return fail(exitBusy, "key %s is held by a call%s that starts, ends, or waits to retry or for a mutex", key, where).
			hintShare(call)
	}
}

// hintWait adds the flag with which a refused call waits. The purpose is that of a call
// that has not waited yet.
func (f *failure) hintWait(call runner.Call, purpose string) *failure {
	if call.Wait.Limit > 0 {
		purpose = "to wait as long as it takes"
	}
	return f.hintFlags(purpose, waitFlag(call.Policy.Fresh))
}

// hintShare is hintWait for a key that another call runs.
func (f *failure) hintShare(call runner.Call) *failure {
	if call.Policy.Fresh {
		return f.hintWait(call, "to wait for it and run the command after it")
	}
	return f.hintWait(call, "to wait for it and share its result")
}

// startedText says when an attempt started and which call started it.
func startedText(a ledger.Attempt) string {
	return fmt.Sprintf("attempt %d started %s %s", a.Number, timeText(a.Started), ownerText(a.Owner))
}

// processes lists the processes that keep a key busy, "" if they are not known.
func processes(holders []ledger.Process) string {
	var list []string
	for _, p := range holders {
		list = append(list, fmt.Sprintf("%d (%s)", p.PID, escape(p.Name)))
	}
	return strings.Join(list, ", ")
}

// recursiveFailure returns the failure of a call that would wait for a call that it
// runs inside of.
func recursiveFailure(res runner.Result, call runner.Call) *failure {
	switch {
	case res.Mutex != nil:
		return outerMutexFailure(res.Mutex)
	case res.Queued != nil:
		return usage("key %s waits for mutex %s, which the command around this call holds", quote(call.ID.Key), quote(res.Queued.Name)).
			detail("this call would wait for itself").
			hintUnflagged("to be refused with 75 instead", "--wait")
	}
	if p := res.Record.Phase(); p != ledger.PhaseNone && p != ledger.PhaseRunning {
		return askedFailure(res.Record.ID)
	}
	return usage("key %s is already running as the parent of this command", keyShown(res.Record)).
		detail("a key cannot run inside itself").
		hint("give the inner call a key of its own")
}

// askedFailure returns the failure for a call that is made by the probe or the
// verification of the same attempt.
func askedFailure(id ledger.ID) *failure {
	return usage("key %s is being asked about by the parent of this command", quote(id.Key)).
		detail("a probe or a verification cannot ask itself").
		hint("give the inner call a key of its own")
}

// interruptedFailure returns the failure for a key whose outcome is unknown. With --force,
// the failure does not recommend a probe.
func interruptedFailure(res runner.Result, call runner.Call) *failure {
	rec, probed := res.Record, res.Probed
	cur := rec.Current
	var f *failure
	if l := elsewhere(rec); l != nil {
		f = silentFailure(rec, l)
	} else {
		f = fail(exitInterrupted, "key %s was interrupted: attempt %d has no recorded outcome", keyShown(rec), cur.Number).
			detail("%s", startedText(cur))
	}
	if probed != nil {
		f.detail("the probe could not tell whether it is done: it %s", probeText(*probed))
	}
	f.hintFor(rec.ID, "to see its output", "logs")
	if call.Replay.Value {
		f.hintFor(rec.ID, "if it succeeded, and the script does not use its output", "mark", "done", "--stdout-file", "/dev/null").
			hint("if the script does, give that command the output of the step: --stdout-file FILE").
			hintNotDone(rec.ID)
	} else {
		f.hintSettle(rec.ID)
	}
	if rec.Kept() {
		return f
	}
	f.hintFlags("if the command may safely run again", "--on-interrupted rerun")
	if res.Parent {
		f.hintFlags("if all its effects are in its steps, which do not run twice", "--resumable")
	}
	if probed == nil && !call.Policy.Force {
		f.hintFlags("if a command can find out whether it is done", "--probe CMD")
	}
	return f
}

// undecidedFailure returns the failure for a key that never ran, or whose last attempt
// ended violently, about which the probe could not tell.
func undecidedFailure(rec ledger.Record, probed runner.ProbeEnd) *failure {
	if cur := rec.Current; rec.Phase() == ledger.PhaseFailed {
		return fail(exitInterrupted, "key %s may be done: %s %s, and the probe could not tell", keyShown(rec), attemptText(cur), outcomeText(cur)).
			detail("the probe %s", probeText(probed)).
			detail("%s", startedText(cur)).
			hintFor(rec.ID, "to see its output", "logs").
			hintFor(rec.ID, "if it succeeded", "mark", "done").
			hintFor(rec.ID, "to run it again at the next call", "mark", "retry").
			hintFlags("if the command may safely run again", "--on-interrupted rerun")
	}
	return fail(exitInterrupted, "key %s has not run yet, and the probe could not tell whether it is done", keyShown(rec)).
		detail("the probe %s", probeText(probed)).
		hint("a probe exits with 0 for done and with 1 for not done").
		hintFor(rec.ID, "if it is done", windowed(rec.ID, "mark", "done")...).
		hintUnflagged("if it is not done", "--probe-first")
}

func probeText(p runner.ProbeEnd) string {
	switch {
	case p.Lost != nil:
		return "ended, but its exit status is not known"
	case p.NotStarted != nil:
		return "could not be started: " + p.NotStarted.Error()
	case p.StoppedBy == proc.ByTimeout:
		return "was ended by --probe-timeout"
	case p.StoppedBy == proc.ByContext:
		return "was ended because the call lost the lock of the key"
	default:
		return statusText(p.Status)
	}
}

// unverifiedFailure returns the failure for a success about which the verification could
// not tell.
func unverifiedFailure(rec ledger.Record, verified runner.ProbeEnd) *failure {
	cur := rec.Current
	return fail(exitInterrupted, "key %s cannot be verified: the verification %s", keyShown(rec), probeText(verified)).
		detail("%s %s, %s", attemptText(cur), outcomeText(cur), timeText(cur.Started)).
		hint("a verification exits with 0 if the effect is there and with 1 if it is gone").
		hintFor(rec.ID, "to run it again at the next call", "mark", "retry", "--force").
		hintFlags("to replay it nevertheless", "--on-unverified replay")
}

// tooLateFailure returns the failure for a key that is not run again because of the age
// of its first attempt.
func tooLateFailure(res runner.Result, limit time.Duration) *failure {
	rec := res.Record
	code := exitFailed
	open := rec.Current.State == ledger.Running
	if open {
		code = exitInterrupted
	}
	f := fail(code, "key %s is not run again: its first attempt is older than --rerun-within", keyShown(rec)).
		detail("%s; the limit is %v", startedText(res.First), (&duration{limit}).String())
	if open {
		f.detail("attempt %d has no recorded outcome", rec.Current.Number)
	}
	return f.hintFor(rec.ID, "to see its output", "logs").
		hintFor(rec.ID, "if it succeeded", "mark", "done").
		hintFor(rec.ID, "if it had no effect, so the next call runs it with a new IDEM_TOKEN", "forget")
}

// batchFailure returns the failure of a call whose key is that of a batch.
func batchFailure(rec ledger.Record) *failure {
	return usage("key %s is a batch of idem each", keyShown(rec)).
		detail("its items run, each under a key of its own; the batch has no command").
		hint("give this call another key")
}

// stepName returns the name of the step of a call.
func stepName(call runner.Call) string {
	return strings.TrimPrefix(call.ID.Key, call.Origin.Parent.Key+"/")
}

func failedFailure(rec ledger.Record) *failure {
	cur := rec.Current
	f := fail(exitFailed, "key %s is not run again: %s %s", keyShown(rec), attemptText(cur), outcomeText(cur))
	if cur.Number > 0 {
		f.detail("%s", startedText(cur)).hintFor(rec.ID, "to see its output", "logs")
	} else {
		f.detail("recorded %s %s", timeText(cur.Started), ownerText(cur.Owner))
	}
	return f.hintFor(rec.ID, "to run it again at the next call", "mark", "retry").
		hintFlags("to run it again now", "--on-failure rerun")
}

func exhaustedFailure(rec ledger.Record, tried int) *failure {
	return fail(exitFailed, "key %s is not run again: %s without a success", keyShown(rec), plural(tried, "attempt")).
		detail("%s", startedText(rec.Current)).
		hintFor(rec.ID, "to see its output", "logs").
		hintFor(rec.ID, "to start over with the first attempt", "forget").
		hintFlags("to allow more attempts", "--max-attempts N")
}
