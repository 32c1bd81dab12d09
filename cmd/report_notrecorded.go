package cmd

import (
	"cmp"
	"context"
	"slices"

	"idem/hashkey"
	"idem/ledger"
)

// notRecordedFailure returns the failure of a record that does not exist. Its hints
// name existing records of the same key, in other namespaces and in other windows, the
// records below it, and steps or items that are called like it.
func notRecordedFailure(ctx context.Context, l ledger.Ledger, id ledger.ID) error {
	f := fail(exitError, "nothing is recorded under key %s%s in namespace %s", quote(id.Key), inWindow(id), quote(id.Namespace))
	if s, ok := l.(ledger.Store); ok && missing(ctx, l) {
		f.detail("there is no ledger at %s", quote(s.Place()))
		for _, other := range otherPlaces(s.Place()) {
			f.hint("%s", other)
		}
	}
	mutexes, err := mutexesOf(ctx, l, id)
	if err != nil {
		return err
	}
	for _, m := range mutexes {
		f.detail("a call of the key waits for mutex %s", quote(m.Mutex))
	}
	var found []ledger.ID // the latest record in each namespace
	for rec, err := range l.List(ctx, ledger.Filter{Key: id.Key}) {
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(found, func(other ledger.ID) bool { return other.Namespace == rec.ID.Namespace }) {
			found = append(found, rec.ID)
		}
	}
	if err := hintBelow(ctx, l, id, f); err != nil {
		return err
	}
	for _, other := range found[:min(len(found), maxOtherRecords)] {
		if other.Namespace == id.Namespace {
			f.hintFor(other, "the record"+inWindow(other), "show")
		} else {
			f.hintFor(other, "the record in namespace "+quote(other.Namespace), "show")
		}
	}
	if len(f.hints) == 0 {
		f.hints = similarHints(ctx, l, id)
	}
	return f
}

// maxOtherRecords limits the records that a message of notRecordedFailure names.
const maxOtherRecords = 3

// hintBelow adds hints about steps and items: those below a key that is not recorded
// itself, and those whose last part is the key.
func hintBelow(ctx context.Context, l ledger.Ledger, id ledger.ID, f *failure) error {
	tallies, err := talliesOf(ctx, l)
	if err != nil {
		return err
	}
	if len(tallies[id]) > 0 {
		f.hintFor(id, "the steps or items below it", "list", "--under")
	}
	var parents []ledger.ID
	for parent := range tallies {
		if parent.Namespace == id.Namespace {
			parents = append(parents, parent)
		}
	}
	slices.SortFunc(parents, func(a, b ledger.ID) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(b.Window, a.Window)) })
	shown := 0
	for _, parent := range parents[:min(len(parents), maxParents)] {
		below := parent
		below.Key += "/" + id.Key
		if hashkey.CheckPath(below.Key) != nil {
			continue
		}
		rec, err := l.Get(ctx, below)
		if err != nil {
			return err
		}
		if rec.Phase() != ledger.PhaseNone && shown < maxOtherRecords {
			f.hintFor(below, "the record below key "+quote(parent.Key)+inWindow(parent), "show")
			shown++
		}
	}
	return nil
}

// maxParents limits the parents below which a message looks for a key.
const maxParents = 1000
