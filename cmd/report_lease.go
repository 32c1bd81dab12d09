package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"idem/ledger"
	"idem/ledger/drivers"
	"idem/runner"
)

// elsewhere returns the lease of a record that a call on another host holds or held, else
// nil. About a call on this host, the locks say more.
func elsewhere(rec ledger.Record) *ledger.Lease {
	if rec.Lease != nil && rec.Lease.Elsewhere {
		return rec.Lease
	}
	return nil
}

// runningText follows "key K is running". It names the other host, if there is one.
func runningText(rec ledger.Record) string {
	l := elsewhere(rec)
	if l == nil {
		return ""
	}
	return fmt.Sprintf(" on %s (pid %d, since %s, lease renewed %s ago)", hostName(l), l.PID, rec.Current.Started.UTC().Format(time.TimeOnly), lengthText(l.Silent))
}

// hostName returns the host of a lease for a message.
func hostName(l *ledger.Lease) string {
	if l.Host == "" {
		return "another host"
	}
	return escape(l.Host)
}

// lengthText returns a length of time for a message, in seconds.
func lengthText(d time.Duration) string { return max(0, d).Round(time.Second).String() }

// silentFailure is the beginning of interruptedFailure for an attempt on another host,
// whose lease has ended.
func silentFailure(rec ledger.Record, l *ledger.Lease) *failure {
	f := fail(exitInterrupted, "key %s was interrupted: %s has not been heard of for %s", keyShown(rec), hostName(l), lengthText(l.Silent)).
		detail("its command may still run there")
	if l.Keep {
		f.detail("--on-lost keep lets it run, so no call may run it again before the key is settled")
	}
	if rec.Current.State == ledger.Running {
		f.detail("%s", startedText(rec.Current))
	}
	return f.hint("look on %s first; then settle the key", hostName(l))
}

// leaseText describes a lease in idem show.
func leaseText(l *ledger.Lease) string {
	at := "this host"
	if l.Elsewhere {
		at = hostName(l)
	}
	end := "ends in " + lengthText(l.Left)
	if l.Expired() {
		end = "ended " + lengthText(-l.Left) + " ago"
	}
	text := fmt.Sprintf("%s (pid %d), renewed %s ago, %s", at, l.PID, lengthText(l.Silent), end)
	if l.Keep {
		text += ", --on-lost keep"
	}
	return text
}

// leaseView is a lease in JSON. Times are in seconds.
type leaseView struct {
	Host      string  `json:"host"`
	PID       int     `json:"pid"`
	Elsewhere bool    `json:"elsewhere"`
	Silent    float64 `json:"silent"`
	Left      float64 `json:"left"`
	Keep      bool    `json:"keep"`
}

func viewLease(l *ledger.Lease) *leaseView {
	if l == nil {
		return nil
	}
	return &leaseView{l.Host, l.PID, l.Elsewhere, l.Silent.Seconds(), l.Left.Seconds(), l.Keep}
}

// unsentFailure returns the failure of a call whose outcome a shared ledger did not take,
// nil for another error.
func unsentFailure(res runner.Result, call runner.Call) *failure {
	var unsent *ledger.UnsentError
	if !errors.As(res.Unrecorded, &unsent) && !errors.Is(res.Unrecorded, ledger.ErrLost) {
		return nil
	}
	f := fail(exitUnrecorded, "the command of key %s %s", quote(call.ID.Key), unrecordedText(res))
	if res.LeaseLost {
		f = leaseFailure(res, call)
	}
	f.detail("%v", res.Unrecorded)
	switch {
	case errors.Is(res.Unrecorded, ledger.ErrLost):
		return f.detail("the record is that of the other run, or a mark").hintFor(call.ID, "to see the state of the key", "show")
	case unsent.Path != "":
		return f.detail("its outcome is kept in %s, and sent by the next call on this host", quote(unsent.Path)).
			hintLedger("to send it now", "sync")
	}
	return f.hintFor(call.ID, "to see the state of the key", "show").hintSettle(call.ID)
}

// leaseFailure returns the failure of a call whose command was ended because the claim could not
// be kept.
func leaseFailure(res runner.Result, call runner.Call) *failure {
	f := fail(exitUnrecorded, "the command of key %s was ended, because its lease could not be renewed", quote(call.ID.Key)).
		detail("it %s", statusText(res.Status))
	if res.Unrecorded == nil {
		f.detail("this outcome is recorded").hintFor(call.ID, "to see the state of the key", "show")
	}
	return f
}

// sharedHints is ledgerHints for a shared ledger. place is that of the error, "" if it is
// not known, and hint is that of the error, or "". It reports false for an error that is not
// about the server.
func (f *failure) sharedHints(place, hint string) bool {
	if hint == "" && drivers.IsShared(place) && f.siteHints() {
		return true
	}
	switch err := f.err; {
	case hint != "":
		f.hint("%s", hint)
	case errors.Is(err, ledger.ErrFailedOver):
		f.detail("keys that succeeded shortly before may be forgotten; nothing new is started").
			hint("settle each lost key first, such as: idem mark done KEY").
			hintLedger("when the lost keys are settled, or none are lost, as the owner of the tables", "confirm")
	case errors.Is(err, ledger.ErrUnreachable):
		f.hintLedger("to see what is wrong", "check")
	case !drivers.IsShared(place):
		return false
	case errors.Is(err, ledger.ErrMissing):
		f.hintLedger("to create it, as the owner of the database", "init")
	case errors.Is(err, ledger.ErrOldVersion):
		f.hintLedger("when all hosts have this idem", "upgrade")
	case errors.Is(err, ledger.ErrVersion):
		f.hint("use the newer version of idem")
	case errors.Is(err, ledger.ErrDenied), errors.Is(err, ledger.ErrReadOnly), errors.Is(err, ledger.ErrForeign):
		f.hintLedger("to see the server and the rights of this role", "check")
	case errors.Is(err, ledger.ErrFull):
		f.hint("free space on the server, then call again")
	case errors.Is(err, ledger.ErrCorrupt):
		f.hint("restore the database from a backup; see docs/recovery.md")
	default:
		return false
	}
	return true
}

// siteHints is ledgerHints for an error of the files that this host has for a shared ledger. It
// reports false for another error.
func (f *failure) siteHints() bool {
	const state = "all calls on this host that share keys must use the same directory: STATE_DIRECTORY chooses it"
	var fault *ledger.Fault
	switch {
	case errors.As(f.err, &fault) && fault.Kind == ledger.FaultOwner && fault.Content == ledger.ContentOther:
		f.hint("%s", state)
	case errors.As(f.err, &fault):
		_ = f.faultHints(fault, "")
		f.hints = slices.DeleteFunc(f.hints, func(h hint) bool { return strings.Contains(h.flags, "--ledger") })
		if len(f.hints) == 0 {
			f.hint("%s", state)
		}
	case !errors.As(f.err, new(*fs.PathError)) && !errors.As(f.err, new(*os.SyscallError)):
		return false
	case errors.Is(f.err, ledger.ErrFull):
		f.hint("free space on this host, then call again")
	default:
		f.hint("%s", state)
	}
	return true
}
