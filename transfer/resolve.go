package transfer

import "idem/ledger"

// Conflict says what becomes of a key that both ledgers have in different states.
type Conflict string

// The ways to settle a conflict.
const (
	Refuse Conflict = "refuse" // leave the record as it is, and report it
	Keep   Conflict = "keep"   // leave it as it is
	Newer  Conflict = "newer"  // keep the one with the newer attempt, but never lose a success
)

// Verdict is what becomes of a record of an export.
type Verdict string

// The verdicts.
const (
	Store   Verdict = "store"
	Same    Verdict = "same"    // the ledger has it
	Kept    Verdict = "kept"    // the ledger has another one, which stays
	Differs Verdict = "differs" // the ledger has another one, and the caller must decide
)

// Resolve decides about a record of an export. have is the record of the ledger, and want the one of
// the export. The run ID, the state and the start of want.Current count. The history decides whether
// a record to store Unsettles an interrupted one: then it Differs.
func Resolve(have, want ledger.Record, how Conflict) Verdict {
	h, w := have.Current, want.Current
	forgotten := have.Generation > want.Generation // here, or renewed
	switch {
	case h.RunID == "" && !forgotten:
		return Store
	case h.RunID == w.RunID && h.State == w.State:
		return Same
	case how == Keep:
		return Kept
	case how != Newer:
		return Differs
	case forgotten, h.State == ledger.Succeeded && w.State != ledger.Succeeded:
		return Kept
	case h.RunID == w.RunID && h.State == ledger.Running: // it has ended since
		return Store
	case w.Started.After(h.Started):
		return Store
	}
	return Kept
}

// ResolveNumbers is Resolve for the numbers of a key. Without history, it was forgotten in the other
// ledger.
func ResolveNumbers(have, want ledger.Record, history bool, how Conflict) Verdict {
	behind := have.Generation < want.Generation
	switch {
	case have.Current.RunID != "" && behind && !history && how == Refuse: // it was forgotten in the other ledger
		return Differs
	case have.Fence < want.Fence, have.Series < want.Series, have.Current.RunID == "" && behind:
		return Store
	}
	return Same
}
