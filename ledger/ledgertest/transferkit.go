package ledgertest

import (
	"errors"
	"io"

	"idem/ledger"
)

// historyOf returns the record of id in l as Import.Next returns it.
func (k *kit) historyOf(l ledger.Ledger, id ledger.ID) (all []ledger.Piece) {
	k.Helper()
	for _, a := range k.attempts(l, id) {
		all = append(all, ledger.Piece{Attempt: &a})
		if a.OutputRemoved.IsZero() && !a.NoOutput {
			for _, c := range k.output(l, id, a.RunID) {
				all = append(all, ledger.Piece{Chunk: &c})
			}
		}
		files, err := l.Files(k.ctx, id, a.RunID)
		k.ok(err, "Files")
		for _, f := range files {
			all = append(all, ledger.Piece{File: &f})
		}
	}
	return all
}

// inOrder returns pieces one after the other, and then end.
func inOrder(all []ledger.Piece, end error) func() (ledger.Piece, error) {
	return func() (ledger.Piece, error) {
		if len(all) == 0 {
			return ledger.Piece{}, end
		}
		p := all[0]
		all = all[1:]
		return p, nil
	}
}

// importOf returns the Import that copies r into a ledger that has the record have.
func importOf(r, have ledger.Record, all []ledger.Piece) ledger.Import {
	return ledger.Import{
		Expect: have, Generation: r.Generation, Fence: r.Fence, Series: r.Series, Parent: r.Parent, Next: inOrder(all, io.EOF),
	}
}

func (k *kit) put(l ledger.Ledger, id ledger.ID, im ledger.Import) error {
	k.Helper()
	c := k.claim(l, id)
	defer k.release(c)
	return c.(ledger.Receiving).Put(k.ctx, im)
}

// putOver is put over a history. It reports false if the ledger does not replace one.
func (k *kit) putOver(l ledger.Ledger, id ledger.ID, im ledger.Import) bool {
	k.Helper()
	before := k.historyOf(l, id)
	err := k.put(l, id, im)
	if errors.Is(err, ledger.ErrHistory) {
		k.same(k.historyOf(l, id), before, "the history that is not replaced")
		return false
	}
	k.ok(err, "Put")
	return true
}

// copyTo puts the record of id into another ledger, and checks that it is the same there.
func (k *kit) copyTo(to ledger.Ledger, id ledger.ID) {
	k.Helper()
	r, all := k.get(k.a, id), k.historyOf(k.a, id)
	k.ok(k.put(to, id, importOf(r, k.get(to, id), all)), "Put")
	k.same(k.get(to, id), r, "the record after Put")
	k.same(k.historyOf(to, id), all, "the history after Put")
}

// second returns a handle on a further ledger.
func (k *kit) second() ledger.Ledger {
	k.Helper()
	l, err := k.h.Open(k.h.New(k.T))
	k.ok(err, "open another ledger")
	k.Cleanup(func() { k.ok(l.Close(), "Close") })
	return l
}
