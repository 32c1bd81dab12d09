package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"idem/ledger"
	"idem/runner"
)

// belowChange is a change of all steps or items directly below a key that have a state.
type belowChange struct {
	done   string // the change in a message, such as "marked done"
	change func(context.Context, ledger.Record) error
}

// progressEvery is the time between two notes about the progress of a change.
const progressEvery = 5 * time.Second

// sweptView is the JSON object of a change of all steps or items below a key.
type sweptView struct {
	Schema    int    `json:"schema"`
	Namespace string `json:"namespace"`
	Key       string `json:"key"`
	Window    string `json:"window"`
	Changed   int    `json:"changed"`
	Same      int    `json:"same"`   // were so before
	Others    int    `json:"others"` // another call has changed them in the meantime
	Busy      int    `json:"busy"`
}

// changeBelow makes a change and reports it.
func (a *app) changeBelow(ctx context.Context, l ledger.Ledger, parent ledger.ID, phases ledger.Phases, c belowChange, asJSON bool) error {
	next := time.Now().Add(progressEvery)
	swept, err := runner.Sweep(ctx, l, ledger.Filter{Under: parent, Phases: phases}, c.change, func(s runner.Swept) {
		if now := time.Now(); now.After(next) && a.ui.notes() {
			next = now.Add(progressEvery)
			a.ui.note("%s %s below key %s so far", c.done, plural(s.Changed, "key"), quote(parent.Key))
		}
	})
	if asJSON {
		view := sweptView{metaSchema, parent.Namespace, parent.Key, parent.Window, swept.Changed, swept.Same, swept.Others, swept.Busy}
		err = cmp.Or(err, a.printJSON(view))
	}
	text := fmt.Sprintf("%s %s below key %s%s", c.done, plural(swept.Changed, "key"), quote(parent.Key), inWindow(parent))
	if err != nil {
		f := *failureOf(err)
		return f.detail("%s before that; call again to go on", text)
	}
	if swept.Busy > 0 {
		return busyBelowFailure(parent, swept).detail("%s", text)
	}
	a.ui.note("%s", text)
	if swept.Same > 0 {
		a.ui.note("%s succeeded before", pluralVerb(swept.Same, "key has", "keys have"))
	}
	if swept.Others > 0 {
		a.ui.warn("%s changed by another call, and left as it is", pluralVerb(swept.Others, "key was", "keys were"))
	}
	return nil
}

// busyBelowFailure returns the failure of a change that left keys below a parent out,
// because they are held.
func busyBelowFailure(parent ledger.ID, s runner.Swept) *failure {
	f := fail(exitBusy, "%s below key %s busy, and left as it was", pluralVerb(s.Busy, "key", "keys"), quote(parent.Key))
	for _, b := range s.Holding {
		f.detail("%v", failureOf(b).err)
	}
	if n := s.Busy - len(s.Holding); n > 0 {
		f.detail("and %d more", n)
	}
	return f.hintFor(s.Holding[0].ID, "to wait for the first one", "wait")
}

// noOutcomeFailure returns the failure of a command about the outcome of a batch.
func noOutcomeFailure(id ledger.ID) *failure {
	return usage("key %s is a batch, which has no outcome", quote(id.Key)).
		detail("its items have one").
		hintFor(id, "to see its items", "list", "--under")
}

// markBelow settles the steps or items of --under by hand.
func (a *app) markBelow(ctx context.Context, name string, o *markOptions) error {
	phases := o.below.phases()
	if len(phases) == 0 {
		return usage("idem mark --under requires --state, --failed or --interrupted").detail("it changes all steps or items in these states")
	}
	if slices.Contains(phases, ledger.PhaseSucceeded) && name != "done" && !o.force {
		return usage("the keys below %s are not marked, because they have succeeded", quote(o.below.under)).
			detail("%s would run them again or hide their outcome", name).hintFlags("to mark them anyway", "--force")
	}
	keep, err := a.retention(&o.storeFlags, o.below.under)
	if err != nil {
		return err
	}
	l, parent, err := a.parent(ctx, &o.below)
	if err != nil {
		return err
	}
	h := o.settlement(name, keep)
	return a.changeBelow(ctx, l, parent.ID, phases, belowChange{"marked " + name, func(ctx context.Context, rec ledger.Record) error {
		s := h
		s.RunID, s.Expect = newRunID(), &rec
		_, err := runner.Mark(ctx, l, rec.ID, s)
		return err
	}}, o.json)
}

// forgetBelow forgets the steps or items of --under.
func (a *app) forgetBelow(ctx context.Context, o *underFlags, asJSON bool) error {
	l, parent, err := a.parent(ctx, o)
	if err != nil {
		return err
	}
	return a.changeBelow(ctx, l, parent.ID, o.phases(), belowChange{"forgot", func(ctx context.Context, rec ledger.Record) error {
		return l.ForgetIf(ctx, rec)
	}}, asJSON)
}

// forgetParent forgets a record, and everything below it. It says and returns how
// much that is.
func (a *app) forgetParent(ctx context.Context, l ledger.Ledger, id ledger.ID) (below int, err error) {
	tallies, err := talliesOf(ctx, l, id)
	if err != nil {
		return 0, err
	}
	below = tallies[id].Total()
	if below >= manyBelow {
		a.ui.note("forgetting %d keys below key %s; if this is cut off, call again", below, quote(id.Key))
	}
	err = l.Forget(ctx, id)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return 0, notRecordedFailure(ctx, l, id)
	case err != nil:
		return 0, err
	case below > 0:
		a.ui.note("forgot key %s%s and %s below it", quote(id.Key), inWindow(id), plural(below, "key"))
	default:
		a.ui.note("forgot key %s%s", quote(id.Key), inWindow(id))
	}
	return below, nil
}

// manyBelow is the number of keys whose deletion takes a person's time.
const manyBelow = 10_000
