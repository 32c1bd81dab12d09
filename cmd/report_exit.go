package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"idem/ledger"
	"idem/proc"
	"idem/runner"
	"idem/sidefile"
)

// The exit statuses that idem chooses itself. Those from 64 to 80, except for 74,
// mean that this call did not start the command. Those from 64 to 75 are those of
// sysexits.h, 125 to 127 those of env(1), timeout(1) and nohup(1).
const (
	exitOK          = 0
	exitError       = 1 // of the commands that look: no such record, or the answer did not arrive
	exitUsage       = 64
	exitMismatch    = 65
	exitLedger      = 69
	exitOutput      = 74
	exitBusy        = 75
	exitInterrupted = 79
	exitFailed      = 80
	exitUnrecorded  = 125
)

// exitTable is the EXIT STATUS section of the help and of docs/guide.md.
var exitTable = []struct {
	code    string
	meaning string
}{
	{"64", "usage: a bad flag or key, no window for a derived key, a key inside itself"},
	{"65", "the key is recorded with other inputs: arguments, or what --hash-* adds"},
	{"69", "the ledger cannot be used: no rights, full, damaged, from a newer idem, on an unsafe file system; or a replay could not append to its files"},
	{"74", "the command is done and recorded, but its output could not be written here, or a replay lacks a part of stdout; only in place of a status 0, and the one status from 64 to 80 that may follow a start"},
	{"75", "the key is running now, or leftovers of its command are"},
	{"79", "an earlier attempt was interrupted, so its outcome is unknown; or --probe-first cannot tell"},
	{"80", "it failed before, and --on-failure refuse or --max-attempts says not to run it again"},
	{"124", "--timeout ended the command"},
	{"125", "the command ran, or may have, but its outcome could not be recorded"},
	{"126", "the command was found but cannot be executed; the key stays as it was"},
	{"127", "the command was not found; the key stays as it was"},
	{"128+n", "the command died of signal n (when it did so now, idem dies of it as well)"},
	{"other", "the command's own status, fresh or replayed"},
}

// failure is an error with what the user needs beside its text: the exit
// status and what to do about it.
type failure struct {
	code  int
	err   error
	hints []hint
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(code int, format string, args ...any) *failure {
	return &failure{code: code, err: fmt.Errorf(format, args...)}
}

func usage(format string, args ...any) *failure { return fail(exitUsage, format, args...) }

// failureOf gives every error its exit status and its hints: the one place
// that knows both.
func failureOf(err error) *failure {
	var f *failure
	var start *proc.StartError
	var busy *ledger.BusyError
	var inexact *runner.InexactError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &start):
		return &failure{code: start.Code, err: maskedError{err, start.Name}}
	case errors.As(err, &busy):
		return busyFailure(busy.Record, busy.Leftover, busy.Holders, false).forOthers().hintFor(busy.ID, "to wait for it", "wait")
	case errors.As(err, &inexact):
		return inexactFailure(err, inexact.Lacks)
	case errors.As(err, new(*sidefile.Error)):
		return fileFailure(err)
	case errors.Is(err, ledger.ErrNotFound):
		return fail(exitError, "nothing is recorded under this key")
	case errors.Is(err, ledger.ErrChanged):
		return fail(exitBusy, "the record was changed by another call; look at it, then call again")
	}
	return (&failure{code: exitLedger, err: err}).ledgerHints()
}

// fileFailure is about a file that the command appends to. What a replay could
// not append is an error like a record that cannot be read: without its outputs,
// a step of a CI job must not pass for done.
func fileFailure(err error) *failure {
	if errors.As(err, new(*runner.ReplayError)) {
		return (&failure{code: exitLedger, err: err}).hint("the command is done and was not run again; call again when the file can be written")
	}
	return &failure{code: exitUsage, err: err}
}

// remaps are the exit statuses that --exit-code can change, by name.
var remaps = map[string]int{
	"running": exitBusy, "mismatch": exitMismatch, "interrupted": exitInterrupted,
	"failed": exitFailed, "ledger": exitLedger, "output": exitOutput,
}

// exitCodes is the value of --exit-code: NAME=N, repeatable.
type exitCodes map[int]int

func (e exitCodes) String() string { return "" }
func (e exitCodes) Type() string   { return "NAME=N" }

func (e exitCodes) Set(s string) error {
	name, number, _ := strings.Cut(s, "=")
	from, ok := remaps[name]
	if !ok {
		names := []string{}
		for n := range remaps {
			names = append(names, n)
		}
		slices.Sort(names)
		return fmt.Errorf("want NAME=N with one of the names %s", strings.Join(names, ", "))
	}
	to, err := strconv.ParseUint(number, 10, 8)
	if err != nil {
		return errors.New("want NAME=N with N from 0 to 255")
	}
	e[from] = int(to)
	return nil
}

func (e exitCodes) of(code int) int {
	if to, ok := e[code]; ok {
		return to
	}
	return code
}

// changes reports whether another status is to take the place of code.
func (e exitCodes) changes(code int) bool { return e.of(code) != code }

// exitStatus is what a call exits with: a success is 0, also one by --ok.
func exitStatus(a ledger.Attempt) int {
	if a.State == ledger.Succeeded {
		return exitOK
	}
	return a.ExitCode
}

// refusal explains a call that runner.Run refused.
func refusal(res runner.Result, call runner.Call) *failure {
	switch res.Reason {
	case runner.ReasonMismatch:
		return mismatchFailure(res.Record, call)
	case runner.ReasonInterrupted:
		return interruptedFailure(res.Record, res.Probed, call.Policy.Force)
	case runner.ReasonUndecided:
		return undecidedFailure(res.Record, *res.Probed)
	case runner.ReasonFailed:
		return failedFailure(res.Record)
	case runner.ReasonExhausted:
		return exhaustedFailure(res.Record, res.Tried)
	case runner.ReasonRecursive:
		return recursiveFailure(res.Record.ID)
	default:
		return busyFailure(res.Record, res.Leftover, res.Holders, call.Wait.Limit > 0)
	}
}
