package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/drivers"
	"idem/runner"
)

// parentFlags select the parent of a step or a batch. Without --in, the parent is the
// attempt around this process.
type parentFlags struct {
	in     string
	window windowValue
}

func (o *parentFlags) addTo(f *pflag.FlagSet) {
	f.StringVar(&o.in, "in", "", "use the steps of `KEY`, which need not be running; to repair a run by hand")
	f.Var(&o.window, "window", "with --in, use the record of KEY in `WINDOW` (empty: the record without a window)")
}

// parentVars are the variables that name the attempt around a process, in the order of a
// message.
var parentVars = []string{"IDEM_KEY", ledger.RunIDVar, "IDEM_WINDOW", "IDEM_NAMESPACE", "IDEM_LEDGER"}

// parentOf returns the parent that the flags select, for a step or a batch that is recorded
// in l. Messages name the step or the batch with the words what. Without --in, the attempt must be
// running, and it must be that of the environment: a process may keep the variables of an
// attempt that is over.
func (a *app) parentOf(ctx context.Context, l ledger.Ledger, o *parentFlags, what string) (ledger.Origin, error) {
	origin, err := a.namedParent(o, what)
	if err != nil {
		return origin, err
	}
	if o.in != "" {
		origin.Parent, err = a.parentIn(ctx, l, o, origin.Parent)
		return origin, err
	}
	if os.Getenv("IDEM_TOKEN") == "" { // see unprotectedLacks
		return origin, fail(exitLedger, "%s cannot be recorded: the run around it has no record", what).
			hintFlags("to run it without a record too", "--on-ledger-error run")
	}
	rec, err := l.Get(ctx, origin.Parent)
	if err == nil && (rec.Current.State != ledger.Running || rec.Current.RunID != origin.RunID) {
		err = overFailure(rec, origin, what)
	}
	return origin, err
}

// namedParent returns the parent that the flags and the environment name. It reads no
// ledger.
func (a *app) namedParent(o *parentFlags, what string) (ledger.Origin, error) {
	if o.in != "" {
		id, err := a.recordedID(o.in)
		id.Window = o.window.text
		if o.in == os.Getenv("IDEM_KEY") && !o.window.set && a.namespace == os.Getenv("IDEM_NAMESPACE") {
			id.Window = os.Getenv("IDEM_WINDOW")
		}
		return ledger.Origin{Parent: id}, err
	}
	if o.window.set {
		return ledger.Origin{}, needError("window", "in")
	}
	if os.Getenv(ledger.EventVar) != "" {
		return ledger.Origin{}, usage("%s is outside of a run: a hook or a probe is no part of it", what).
			hintFlags("to name the run", "--in KEY")
	}
	missing := slices.DeleteFunc(slices.Clone(parentVars), func(name string) bool {
		value, set := os.LookupEnv(name)
		return set && (value != "" || name == "IDEM_WINDOW")
	})
	if len(missing) > 0 {
		return ledger.Origin{}, outsideFailure(what, missing)
	}
	place, err := placeOf(a.ledger, os.Getenv)
	if err != nil {
		return ledger.Origin{}, err
	}
	if outer := os.Getenv("IDEM_LEDGER"); !drivers.Same(place, outer) {
		return ledger.Origin{}, usage("--ledger names another ledger than that of the run around %s", what).
			detail("the run is recorded in %s", quote(publicURL(outer))).
			hintUnflagged("to use the ledger of the run", "--ledger")
	}
	return ledger.Origin{
		Parent: ledger.ID{Namespace: os.Getenv("IDEM_NAMESPACE"), Key: os.Getenv("IDEM_KEY"), Window: os.Getenv("IDEM_WINDOW")},
		RunID:  os.Getenv(ledger.RunIDVar),
	}, nil
}

// parentIn returns the ID of the record that --in selects. A key that has records only in
// windows is refused, because a step of the record without a window would be another step.
func (a *app) parentIn(ctx context.Context, l ledger.Ledger, o *parentFlags, id ledger.ID) (ledger.ID, error) {
	if o.window.set || id.Window != "" {
		return id, nil
	}
	found, err := runner.Find(ctx, l, id.Namespace, id.Key, runner.Which{})
	var ambiguous *runner.AmbiguousError
	if errors.As(err, &ambiguous) {
		newest := ambiguous.Records[0].ID
		return id, usage("key %s has records only in windows, and the call names none", quote(id.Key)).
			detail("windows: %s", windowList(ambiguous)).
			hintFlags("for the window "+escape(newest.Window), shellLine(flagWords("window", newest.Window)))
	}
	if err == nil {
		id = found.ID
	}
	return id, err
}

// below returns the ID of the step or the batch with a name below a parent. The name may
// have slashes, but no empty part.
func below(parent ledger.ID, name string) (ledger.ID, error) {
	id := parent
	id.Key += "/" + name
	if err := hashkey.CheckPath(id.Key); err != nil {
		return id, usage("key %s %v", quote(id.Key), err)
	}
	return id, checkLastName(name)
}

// checkLastName refuses a name of a step or a batch that cannot be the end of a key.
func checkLastName(name string) error {
	err := hashkey.CheckPath(name)
	for _, part := range strings.Split(strings.ReplaceAll(name, ":", "/"), "/") {
		if err == nil && strings.TrimSpace(part) == "" {
			err = fmt.Errorf("%w: a variable may be unset", hashkey.ErrEmptyPart)
		}
	}
	if err != nil {
		return usage("name %s %v", quote(name), err)
	}
	return nil
}

// preamble makes a script the command of a run, unless it is already.
const preamble = `me="deploy:$1"; [ "${IDEM_KEY-}" = "$me" ] || exec idem run --key "$me" --resumable -- "$0" "$@"`

// outsideFailure returns the failure of a step or a batch that what names, in an environment
// that lacks variables of a run.
func outsideFailure(what string, missing []string) *failure {
	f := usage("%s is outside of a run: %s is not set", what, missing[0])
	switch {
	case os.Getenv("SUDO_USER") != "":
		f.hint("sudo drops variables; if a run is around it, call: sudo --preserve-env=%s", strings.Join(parentVars, ","))
	case missing[0] != parentVars[0]:
		f.detail("it needs all of %s", strings.Join(parentVars, ", "))
	}
	return f.hint("to make the script a run, let it begin with: %s", preamble).
		hintFlags("to name the run, after sudo, ssh or by hand", "--in KEY")
}

// overFailure returns the failure of a step or a batch in the environment of an attempt that
// is not the running attempt of its record.
func overFailure(rec ledger.Record, origin ledger.Origin, what string) *failure {
	f := usage("%s is outside of a run: the run of key %s that it was started in is over", what, keyShown(rec))
	switch cur := rec.Current; {
	case rec.Phase() == ledger.PhaseNone:
		f.detail("nothing is recorded under the key any more")
	case rec.Phase() == ledger.PhaseRunning:
		f.detail("another attempt is running: %s", startedText(cur))
	default:
		f.detail("the key is %s now", rec.Phase())
	}
	return f.hintRun("to leave the environment of that run", "unset IDEM_KEY %s", ledger.RunIDVar).
		hintFlags("to use its steps nevertheless", "--in KEY")
}
