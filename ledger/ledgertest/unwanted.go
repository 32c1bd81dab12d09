package ledgertest

import "idem/ledger"

var unwantedCases = []testCase{
	{"NoOutputKeepsNothing", noOutputKeepsNothing, nil},
	{"NoOutputOfInterrupted", noOutputOfInterrupted, nil},
	{"NoOutputOfOneAttempt", noOutputOfOneAttempt, nil},
}

func (k *kit) beginUnwanted(c ledger.Claim) ledger.Execution {
	k.Helper()
	s := newStart()
	s.MaxOutput = 0
	return k.beginWith(c, s)
}

// noOutputKeepsNothing: with MaxOutput 0, output is counted and not recorded, neither while
// the attempt runs nor later. The attempt has NoOutput and not Truncated.
func noOutputKeepsNothing(k *kit) {
	id := key("k")
	for _, n := range []int{0, 1, 40 << 10, 300 << 10} {
		c := k.claim(k.a, id)
		x := k.beginUnwanted(c)
		write(x, pieces(n))
		if ps := k.output(k.b, id, x.Attempt().RunID); len(ps) != 0 || !x.Attempt().NoOutput {
			k.Errorf("wrote %d bytes with MaxOutput 0: read %d pieces, NoOutput is %t", n, len(ps), x.Attempt().NoOutput)
		}
		a := k.finish(x, success)
		k.release(c)
		if a.OutputBytes != int64(n) || a.Truncated || !a.NoOutput {
			k.Errorf("wrote %d bytes that are not wanted: %+v", n, a)
		}
		k.same(k.get(k.b, id).Current, a, "attempt without output")
		if ps := k.output(k.b, id, a.RunID); len(ps) != 0 {
			k.Errorf("wrote %d bytes that are not wanted, %d pieces are read", n, len(ps))
		}
	}
}

func noOutputOfInterrupted(k *kit) {
	id := key("k")
	k.lose(id, k.beginUnwanted, 300<<10)
	lost := k.attempts(k.a, id)[0]
	if !lost.NoOutput || lost.Truncated || lost.Reason != ledger.ReasonLost {
		k.Errorf("a lost attempt without output: %+v", lost)
	}
	if ps := k.output(k.b, id, lost.RunID); len(ps) != 0 {
		k.Errorf("%d pieces are read of output that was not wanted", len(ps))
	}
}

// noOutputOfOneAttempt: NoOutput of one attempt does not affect the output of another one.
func noOutputOfOneAttempt(k *kit) {
	id, ps := key("k"), pieces(100)
	c := k.claim(k.a, id)
	k.finish(k.beginUnwanted(c), failure)
	k.release(c)
	k.exactly(id, k.record(id, ps, -1), ps)
	k.mark(k.a, id, ledger.None)
	if !k.get(k.b, id).Current.NoOutput {
		k.Error("a mark without output does not say so")
	}
}
