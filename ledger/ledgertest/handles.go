package ledgertest

import (
	"idem/ledger"
)

var handleCases = []testCase{
	{"CloseTwice", closeTwice, nil},
	{"CloseKeepsClaims", closeKeepsClaims, nil},
	{"CloseKeepsRecords", closeKeepsRecords, nil},
	{"NewerVersionIsRefused", newerVersionIsRefused, needsNewer},
}

func closeTwice(k *kit) {
	l := k.open()
	k.run(l, key("k"), success)
	k.ok(l.Close(), "Close")
	k.ok(l.Close(), "second Close")
	k.phase(key("k"), ledger.PhaseSucceeded) // other handles still work

	unused := k.open()
	k.ok(unused.Close(), "Close of an unused handle")
}

// closeKeepsClaims: a claim ends with Release, not when its handle is closed.
func closeKeepsClaims(k *kit) {
	id := key("k")
	l := k.open()
	c := k.claim(l, id)
	k.begin(c)
	k.ok(l.Close(), "Close")
	k.claimBusy(id)
	k.phase(id, ledger.PhaseRunning)
	k.release(c)
	k.claimFree(id)
	k.phase(id, ledger.PhaseInterrupted)
}

func closeKeepsRecords(k *kit) {
	id := key("k")
	done := k.record(id, pieces(100<<10), -1)
	k.ok(k.a.Close(), "Close")
	k.ok(k.b.Close(), "Close")
	k.a, k.b = k.open(), k.open()
	k.same(k.get(k.a, id).Current, done, "current attempt after all handles were closed")
	k.exactly(id, done, pieces(100<<10))
}

// newerVersionIsRefused: this version cannot interpret a newer ledger. To take its keys for
// "never run" would be the worst guess.
func newerVersionIsRefused(k *kit) {
	place := k.h.New(k.T)
	l, err := k.h.Open(place)
	k.ok(err, "open")
	k.run(l, key("k"), success)
	k.ok(l.Close(), "Close")

	k.h.Newer(k.T, place)
	before := ""
	if k.h.Look != nil {
		before = k.h.Look(k.T, place)
	}
	l, err = k.h.Open(place)
	if err != nil {
		k.is(err, ledger.ErrVersion, "open of a newer ledger")
	} else {
		_, err = l.Get(k.ctx, key("k"))
		k.is(err, ledger.ErrVersion, "Get from a newer ledger")
		_, err = ledger.Collect(l.List(k.ctx, ledger.Filter{}))
		k.is(err, ledger.ErrVersion, "List of a newer ledger")
		if c, err := l.Claim(k.ctx, key("k")); err == nil {
			_, err = c.Begin(k.ctx, newStart())
			k.is(err, ledger.ErrVersion, "Begin in a newer ledger")
			k.release(c)
		}
		k.ok(l.Close(), "Close")
	}
	if k.h.Look != nil {
		k.same(k.h.Look(k.T, place), before, "the place of a newer ledger")
	}
}
