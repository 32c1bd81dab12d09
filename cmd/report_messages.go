package cmd

import (
	"bytes"
	"fmt"
	"strings"

	"idem/hashkey"
	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

// maxChanges is how many changed inputs a message lists.
const maxChanges = 5

func mismatchFailure(rec ledger.Record, call runner.Call) *failure {
	cur := rec.Current
	f := fail(exitMismatch, "key %s is recorded with other inputs: %s (recorded %s %s; fingerprint %s, now %s)",
		quote(rec.ID.Key), strings.Join(changes(cur, call), ", "),
		when(cur.Started), by(cur.Owner), shortPrint(cur.Fingerprint), shortPrint(call.Inputs.Fingerprint))
	switch cur.State {
	case ledger.Failed:
		f.hintFlags("that attempt "+outcomeText(cur)+"; to accept the corrected command", "--on-mismatch rerun").
			hintFor(rec.ID, "to run the corrected command as if the key were new", "forget")
	case ledger.Running:
		if !rec.Alive {
			f.hint("its attempt %d was interrupted; settle it first", cur.Number).hintWays(rec.ID)
		}
		f.hint("a new operation needs a new key")
	default:
		f.hint("a new operation needs a new key").
			hintFlags("to run this one again with the new inputs", "--on-mismatch rerun")
	}
	return hintSecret(f, cur, call)
}

// changes lists what differs between a recorded attempt and a call.
func changes(was ledger.Attempt, call runner.Call) []string {
	diff, err := differences(was, call)
	if err != nil {
		return []string{"what has changed is not recorded"}
	}
	var list []string
	for i, c := range diff {
		if i == maxChanges {
			list = append(list, fmt.Sprintf("and %d more (idem explain names them)", len(diff)-i))
			break
		}
		list = append(list, changeText(c))
	}
	return list
}

// difference is a change of an input. It is sure when the value shows it, and
// when the fingerprints differ and nothing else can be why.
type difference struct {
	hashkey.Change
	sure bool
}

// differences compares the inputs of a recorded attempt and of a call.
func differences(was ledger.Attempt, call runner.Call) ([]difference, error) {
	if was.Fingerprint == call.Inputs.Fingerprint {
		return nil, nil // whatever is hidden
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

// changeText says what changed, with the values of what the user has typed and
// without those of the environment and of files.
func changeText(c difference) string {
	if c.Hidden {
		how := "redacted"
		if c.Old == nil && c.New == nil {
			how = "not stored"
		}
		if c.sure {
			return fmt.Sprintf("%s, which is %s, has changed", escape(c.Name), how)
		}
		return fmt.Sprintf("%s, which is %s, may have changed", escape(c.Name), how)
	}
	switch c.Kind {
	case hashkey.KindArg, hashkey.KindValue, hashkey.KindCwd:
		if c.Masked {
			return escape(c.Name) + " (masked) has changed"
		}
		old, new := excerpts(c.Old, c.New)
		return fmt.Sprintf("%s was %s, now %s", escape(c.Name), old, new)
	}
	gone := hashkey.Absent()
	switch {
	case c.Old == nil:
		return escape(c.Name) + " did not count before"
	case c.New == nil:
		return escape(c.Name) + " counted before"
	case bytes.Equal(c.Old, gone):
		return escape(c.Name) + " was missing, now it is there"
	case bytes.Equal(c.New, gone):
		return escape(c.Name) + " was there, now it is missing"
	default:
		return escape(c.Name) + " has changed" + fileChanges(c.Files, maxChanges)
	}
}

// shortPrint is enough of a fingerprint to compare it by eye.
func shortPrint(fingerprint string) string {
	const n = len("h1:") + 12
	return fingerprint[:min(n, len(fingerprint))]
}

// busyFailure is for a key that is running or has leftovers; waited reports that the
// call has waited for as long as --wait permits.
func busyFailure(rec ledger.Record, leftover bool, holders []ledger.Process, waited bool) *failure {
	key := quote(rec.ID.Key)
	cur := rec.Current
	share, gone := "to wait for it and share its result", "to wait until they are gone"
	if waited {
		share, gone = "to wait as long as it takes", "to wait as long as it takes"
	}
	switch {
	case leftover:
		return fail(exitBusy, "key %s is busy: processes of its attempt %d, started %s %s, are still alive%s", key, cur.Number, when(cur.Started), by(cur.Owner), processes(holders)).
			hintFlags(gone, "--wait")
	case cur.State == ledger.Running:
		return fail(exitBusy, "key %s is running since %s %s", key, when(cur.Started), by(cur.Owner)).
			hintFlags(share, "--wait")
	default: // claimed, and not begun yet or ended already
		return fail(exitBusy, "key %s is being run by another process that has just started or ended", key).
			hintFlags(share, "--wait")
	}
}

// processes lists those that keep a key busy, if it is known which.
func processes(holders []ledger.Process) string {
	var list []string
	for _, p := range holders {
		list = append(list, fmt.Sprintf("%d (%s)", p.PID, escape(p.Name)))
	}
	if list == nil {
		return ""
	}
	return ": " + strings.Join(list, ", ")
}

// recursiveFailure is for a call that would wait for a call around it.
func recursiveFailure(id ledger.ID) *failure {
	return usage("key %s is running around this very call: a key cannot be run inside itself", quote(id.Key)).
		hint("give the inner call a key of its own")
}

// interruptedFailure is for a key whose outcome is unknown; probed is what a
// probe said to that, nil when none was asked. A forced call asks none.
func interruptedFailure(rec ledger.Record, probed *runner.ProbeEnd, force bool) *failure {
	cur, text := rec.Current, ""
	if probed != nil {
		text = "; the probe cannot tell: it " + probeText(*probed)
	}
	f := fail(exitInterrupted, "key %s was interrupted: attempt %d, started %s %s, has no recorded end, so its outcome is unknown%s",
		quote(rec.ID.Key), cur.Number, when(cur.Started), by(cur.Owner), text).
		hintFor(rec.ID, "to find out what it did, see its output", "logs").
		hintWays(rec.ID).
		hintFlags("if the command may safely run again", "--on-interrupted rerun")
	if probed == nil && !force {
		f.hintFlags("if another command can tell whether it is done", "--probe CMD")
	}
	return f
}

func undecidedFailure(rec ledger.Record, probed runner.ProbeEnd) *failure {
	return fail(exitInterrupted, "key %s was never run here, and the probe cannot tell whether it is done: it %s", quote(rec.ID.Key), probeText(probed)).
		hint("a probe exits with 0 for done and with 1 for not done").
		hintFor(rec.ID, "if it is done", windowed(rec.ID, "mark", "done")...).
		hintUnflagged("if it is not done", "--probe-first")
}

func probeText(p runner.ProbeEnd) string {
	switch {
	case p.Lost != nil:
		return "ended unseen"
	case p.NotStarted != nil:
		return "could not be started: " + p.NotStarted.Error()
	case p.StoppedBy == proc.ByTimeout:
		return "was ended by --probe-timeout"
	case p.StoppedBy == proc.ByContext:
		return "was ended because the claim of the key was lost"
	default:
		return statusText(p.Status)
	}
}

func failedFailure(rec ledger.Record) *failure {
	cur := rec.Current
	f := fail(exitFailed, "key %s is not run again: %s %s, %s", quote(rec.ID.Key), which(cur), outcomeText(cur), when(cur.Started))
	if cur.Number > 0 {
		f.hintFor(rec.ID, "see its output", "logs")
	}
	return f.hintFor(rec.ID, "to run it again at the next call", "mark", "retry").
		hintFlags("to run it again now", "--on-failure rerun")
}

func exhaustedFailure(rec ledger.Record, tried int) *failure {
	return fail(exitFailed, "key %s is not run again: attempts without success: %d, the last %s", quote(rec.ID.Key), tried, when(rec.Current.Started)).
		hintFor(rec.ID, "see its output", "logs").
		hintFor(rec.ID, "to begin again at the first attempt", "forget").
		hintFlags("to allow more attempts", "--max-attempts N")
}
