package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"idem/ledger"
	"idem/ledger/drivers"
	"idem/proc"
	"idem/runner"
	"idem/sidefile"
)

// The exit statuses that idem chooses itself. Those from 64 to 80, except for 74,
// mean that this call did not start the command. Those from 64 to 75 are those of
// sysexits.h, 125 to 127 those of env(1), timeout(1) and nohup(1).
const (
	exitOK          = 0
	exitError       = 1 // of commands other than run: no such record, or a failed write to stdout
	exitUsage       = 64
	exitMismatch    = 65
	exitLedger      = 69
	exitOutput      = 74
	exitBusy        = 75
	exitInterrupted = 79
	exitFailed      = 80
	exitUnrecorded  = 125
)

// exitRow is an exit status and its meaning.
type exitRow struct{ code, meaning string }

// exitTable has the exit statuses of idem run, for the help and docs/guide.md.
var exitTable = []exitRow{
	{"64", "bad usage: a flag or a key, a derived key without a window, a step outside of a run, or a key or a mutex inside itself"},
	{"65", "the key was recorded with different inputs: the command line, or what --hash-* adds"},
	{"69", "the ledger cannot be used: not reachable, not confirmed, no permission, full, damaged, from a newer idem, or on an unsafe file system; or a replay could not append to its files, or would not be exact"},
	{"74", "the command succeeded and is recorded, but its output could not be written, or a replay lacks a part of stdout; of the statuses from 64 to 80, only 74 may follow a start of the command"},
	{"75", "the key is running, or processes of its command are still alive; or a --mutex is held"},
	{"79", "an earlier attempt was interrupted and its outcome is unknown, or the probe or the verification could not tell"},
	{"80", "the key failed before, and --on-failure refuse, --max-attempts or --rerun-within prevents another run"},
	{"124", "--timeout ended the command"},
	{"125", "the command ran, or may have run, but its outcome could not be recorded, or its lease was lost"},
	{"126", "the command was found but cannot be executed; the record of the key is unchanged"},
	{"127", "the command was not found; the record of the key is unchanged"},
	{"128+n", "the command died of signal n; the call that ran it dies of the same signal"},
	{"other", "the command's own status, from this run or replayed"},
}

// failure is an error with its exit status, its details and its hints.
type failure struct {
	code    int
	err     error    // the first line of the message
	details []string // one fact per line
	more    []string // details that only -v shows
	hints   []hint
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(code int, format string, args ...any) *failure {
	return &failure{code: code, err: fmt.Errorf(format, args...)}
}

// detail adds a line with a fact about the error.
func (f *failure) detail(format string, args ...any) *failure {
	f.details = append(f.details, fmt.Sprintf(format, args...))
	return f
}

// detailVerbose adds a detail that only -v shows.
func (f *failure) detailVerbose(format string, args ...any) *failure {
	f.more = append(f.more, fmt.Sprintf(format, args...))
	return f
}

// text returns the error and its details as one line.
func (f *failure) text() string { return strings.Join(append([]string{f.Error()}, f.details...), "; ") }

func usage(format string, args ...any) *failure { return fail(exitUsage, format, args...) }

// failureOf returns the failure for an error. It is the one place that chooses the
// exit status and the hints of an error that is not a failure yet.
func failureOf(err error) *failure {
	var f *failure
	var start *proc.StartError
	var busy *ledger.BusyError
	var inexact *runner.InexactError
	var kept *ledger.KeptError
	var wrong *drivers.PlaceError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &start):
		return &failure{code: start.Code, err: maskedError{err, start.Name}}
	case errors.As(err, &busy):
		return busyFailure(busy.Record, busy.Leftover, busy.Holders, runner.Call{}).withoutFlagHints().hintFor(busy.ID, "to wait for it", "wait")
	case errors.As(err, &inexact):
		return inexactFailure(err, inexact.Lacks)
	case errors.As(err, new(*sidefile.Error)):
		return fileFailure(err)
	case errors.As(err, &kept):
		return interruptedFailure(runner.Result{Record: kept.Record}, runner.Call{}).withoutFlagHints()
	case errors.As(err, &wrong):
		f := usage("%s", wrong.Text)
		if f.details = wrong.Details; wrong.Hint != "" {
			f.hint("%s", wrong.Hint)
		}
		return f
	case errors.Is(err, ledger.ErrNotFound):
		return fail(exitError, "nothing is recorded under this key")
	case errors.Is(err, ledger.ErrChanged):
		return fail(exitBusy, "another call changed the record").hint("look at the record, then call again")
	}
	return (&failure{code: exitLedger, err: err}).ledgerHints()
}

// fileFailure returns the failure for a file that the command appends to. If a replay
// cannot append to the file, the status is that of an unreadable record: a step of a
// CI job must not succeed without its outputs.
func fileFailure(err error) *failure {
	if errors.As(err, new(*runner.ReplayError)) {
		return (&failure{code: exitLedger, err: err}).hint("the command is done and was not run again; call again when the file can be written")
	}
	return &failure{code: exitUsage, err: err}
}

// The successes whose status 0 --exit-code can change. They are not exit statuses.
const (
	successReplayed = -1 - iota
	successExecuted
)

// remap is an exit status or a success with its name.
type remap struct {
	name string
	code int
}

// remaps are the exit statuses and successes that --exit-code can change, sorted by name.
var remaps = []remap{
	{"executed", successExecuted},
	{"failed", exitFailed},
	{"interrupted", exitInterrupted},
	{"ledger", exitLedger},
	{"mismatch", exitMismatch},
	{"output", exitOutput},
	{"replayed", successReplayed},
	{"running", exitBusy},
}

// exitCodes is the value of --exit-code: NAME=N, repeatable. The last N of a NAME
// counts.
type exitCodes map[int]int

func (e exitCodes) String() string { return "" }
func (e exitCodes) Type() string   { return "NAME=N" }

func (e exitCodes) Set(s string) error { return e.set(s, remaps) }

func (e exitCodes) set(s string, remaps []remap) error {
	name, number, _ := strings.Cut(s, "=")
	from, names := exitOK, []string{}
	for _, r := range remaps {
		names = append(names, r.name)
		if r.name == name {
			from = r.code
		}
	}
	if from == exitOK {
		return fmt.Errorf("want NAME=N, where NAME is one of %s", strings.Join(names, ", "))
	}
	to, err := strconv.ParseUint(number, 10, 8)
	if err != nil {
		return errors.New("want NAME=N, where N is from 0 to 255")
	}
	e[from] = int(to)
	if from < 0 && to == exitOK { // the default
		delete(e, from)
	}
	return nil
}

func (e exitCodes) words() ([]string, bool) { return remapWords(remaps), false }

// remapWords returns the beginnings of the values for remaps.
func remapWords(remaps []remap) []string {
	var words []string
	for _, r := range remaps {
		words = append(words, r.name+"=")
	}
	return words
}

// remap returns the exit status that --exit-code sets in place of code, or code.
func (e exitCodes) remap(code int) int {
	if to, ok := e[code]; ok {
		return to
	}
	return code
}

// changes reports whether --exit-code replaces code by another status.
func (e exitCodes) changes(code int) bool { return e.remap(code) != code }

// endStatus returns the exit status of a call that ran or replayed an attempt, unless
// its output was not delivered. A success has status 0, or the status that a CODES=keep
// of --ok keeps, or the N of --exit-code. The flags of this call count, not those of the
// call that ran the attempt.
func (o *runOptions) endStatus(res runner.Result) int {
	cur := res.Record.Current
	switch {
	case res.Overruled != nil: // the caller must see that the rest of the command failed
		return res.Overruled.ExitCode
	case cur.State != ledger.Succeeded, cur.ExitCode != exitOK && o.ok.kept.Has(cur.ExitCode):
		return cur.ExitCode
	case res.Action == runner.ActionReplay:
		return max(exitOK, o.exitCodes.remap(successReplayed))
	default:
		return max(exitOK, o.exitCodes.remap(successExecuted))
	}
}

// statusOf returns the exit status of a call that ended with res or err. It is 128+n
// if idem dies of signal n.
func (o *runOptions) statusOf(res runner.Result, call runner.Call, err error) int {
	var stopped *proc.SignalError
	switch {
	case errors.As(err, &stopped):
		return 128 + int(stopped.Signal)
	case err != nil:
		return o.exitCodes.remap(failureOf(err).code)
	case res.Action == runner.ActionRefuse:
		return o.exitCodes.remap(refusal(res, call).code)
	case res.Unrecorded != nil, res.LeaseLost:
		return exitUnrecorded
	case undeliveredFailure(res, call) != nil:
		return o.exitCodes.remap(exitOutput)
	default:
		return o.endStatus(res)
	}
}

// refusal returns the failure of a call that runner.Run refused.
func refusal(res runner.Result, call runner.Call) *failure {
	f := refusalOf(res, call)
	switch {
	case !res.Parent, res.Reason == runner.ReasonInterrupted:
	case res.Reason == runner.ReasonUnverified:
		f.detail("it has steps: when it runs again, all of them run again")
	default:
		f.detail("it has steps: after idem forget, or with new inputs, all of them run again")
	}
	return f
}

// refusalOf is refusal without what concerns the steps of the key.
func refusalOf(res runner.Result, call runner.Call) *failure {
	switch res.Reason {
	case runner.ReasonMismatch:
		return mismatchFailure(res.Record, call)
	case runner.ReasonInterrupted:
		return interruptedFailure(res, call)
	case runner.ReasonUndecided:
		return undecidedFailure(res.Record, *res.Probed)
	case runner.ReasonUnverified:
		return unverifiedFailure(res.Record, *res.Verified)
	case runner.ReasonTooLate:
		return tooLateFailure(res, call.Policy.RerunWithin)
	case runner.ReasonFailed:
		return failedFailure(res.Record)
	case runner.ReasonExhausted:
		return exhaustedFailure(res.Record, res.Tried)
	case runner.ReasonBatch:
		return batchFailure(res.Record)
	case runner.ReasonMutex:
		return mutexFailure(res, call)
	case runner.ReasonRecursive:
		return recursiveFailure(res, call)
	default:
		if res.Queued != nil {
			return queuedFailure(res, call)
		}
		return busyFailure(res.Record, res.Leftover, res.Holders, call)
	}
}
