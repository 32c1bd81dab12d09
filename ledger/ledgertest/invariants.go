package ledgertest

import (
	"time"

	"idem/ledger"
)

// invariants checks the conditions that every ledger meets at any moment.
func (k *kit) invariants(l ledger.Ledger) {
	k.Helper()
	seen := map[ledger.ID]bool{}
	runs := map[string]bool{}
	for _, listed := range k.list(l, ledger.Filter{}) {
		if seen[listed.ID] {
			k.Errorf("List has key %q twice", listed.ID.Key)
		}
		seen[listed.ID] = true

		r := k.get(l, listed.ID)
		as := k.attempts(l, listed.ID)
		if listed.Current.Inputs != nil {
			k.Errorf("key %q: List fills Inputs", listed.ID.Key)
		}
		listed.Current.Inputs = r.Current.Inputs
		k.same(listed, r, "List and Get of one key")
		k.history(r, as)
		for _, a := range as {
			files, err := l.Files(k.ctx, listed.ID, a.RunID)
			k.ok(err, "Files")
			k.same(len(files), a.Files, "number of files of an attempt")
		}
		for _, a := range as {
			if runs[a.RunID] {
				k.Errorf("key %q: run id %s is recorded twice", r.ID.Key, a.RunID)
			}
			runs[a.RunID] = true
		}
	}
}

// history checks a record against its attempts.
func (k *kit) history(r ledger.Record, as []ledger.Attempt) {
	k.Helper()
	if len(as) == 0 {
		k.Errorf("key %q is listed but has no attempts", r.ID.Key)
		return
	}
	k.same(as[len(as)-1], r.Current, "current attempt and end of the history")
	if r.Generation < 1 {
		k.Errorf("key %q: generation %d", r.ID.Key, r.Generation)
	}
	if r.Fence < int64(r.Attempts) {
		k.Errorf("key %q: fence %d is behind its %d attempts", r.ID.Key, r.Fence, r.Attempts)
	}
	number := 0
	for i, a := range as {
		if a.State == ledger.Running && i < len(as)-1 {
			k.Errorf("key %q: an attempt before the current one is running: %+v", r.ID.Key, a)
		}
		k.attempt(r.ID, a)
		if settled(a) {
			continue
		}
		number++
		if a.Number != number {
			k.Errorf("key %q: attempt %d has number %d", r.ID.Key, number, a.Number)
		}
	}
	if r.Attempts != number {
		k.Errorf("key %q: record counts %d attempts, its history %d", r.ID.Key, r.Attempts, number)
	}
}

// attempt checks that the fields of an attempt are consistent.
func (k *kit) attempt(id ledger.ID, a ledger.Attempt) {
	k.Helper()
	wrong := func(what string) { k.Helper(); k.Errorf("key %q: %s: %+v", id.Key, what, a) }
	if a.RunID == "" {
		wrong("no run id")
	}
	if (a.State == ledger.Running) != (a.Reason == "") {
		wrong("an attempt has a reason exactly when it is over")
	}
	if unknownEnd := a.State == ledger.Running || a.Reason == ledger.ReasonLost; unknownEnd != a.Ended.IsZero() {
		wrong("an attempt has an end unless it is running or lost")
	}
	if (a.Number == 0) != settled(a) {
		wrong("marks have number 0, and nothing else has")
	}
	if a.Reason == ledger.ReasonLost && a.State != ledger.Failed {
		wrong("a lost attempt has failed")
	}
	if a.State == ledger.None && !settled(a) {
		wrong("an attempt has no state")
	}
	if a.Started.IsZero() || a.Started.Location() != time.UTC {
		wrong("no start in UTC")
	}
	if !a.Ended.IsZero() && a.Ended.Location() != time.UTC {
		wrong("no end in UTC")
	}
}

// settled reports whether an attempt is a mark, not an execution.
func settled(a ledger.Attempt) bool {
	return a.Reason == ledger.ReasonMarked || a.Reason == ledger.ReasonProbed || a.Reason == ledger.ReasonUnverified
}
