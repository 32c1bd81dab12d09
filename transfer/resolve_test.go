package transfer

import (
	"encoding/hex"
	"testing"
	"time"

	"idem/ledger"
)

func hexOf(s sum) string { return hex.EncodeToString(s[:]) }

func TestResolve(t *testing.T) {
	at := func(generation int64, run string, state ledger.State, minute int) ledger.Record {
		r := ledger.Record{Generation: generation}
		if run != "" {
			r.Current = ledger.Attempt{RunID: run, State: state, Started: time.Unix(int64(60*minute), 0)}
		}
		return r
	}
	none := at(1, "", ledger.None, 0)
	for name, c := range map[string]struct {
		have, want          ledger.Record
		refuse, keep, newer Verdict
	}{
		"a new key":                      {none, at(1, "a", ledger.Succeeded, 1), Store, Store, Store},
		"the same":                       {at(1, "a", ledger.Succeeded, 1), at(1, "a", ledger.Succeeded, 1), Same, Same, Same},
		"forgotten here":                 {at(2, "", ledger.None, 0), at(1, "a", ledger.Succeeded, 1), Differs, Kept, Kept},
		"a newer generation there":       {at(2, "", ledger.None, 0), at(3, "a", ledger.Succeeded, 1), Store, Store, Store},
		"a newer success there":          {at(1, "a", ledger.Failed, 1), at(1, "b", ledger.Succeeded, 2), Differs, Kept, Store},
		"an older success there":         {at(1, "a", ledger.Failed, 3), at(1, "b", ledger.Succeeded, 2), Differs, Kept, Kept},
		"a newer failure there":          {at(1, "a", ledger.Succeeded, 1), at(1, "b", ledger.Failed, 2), Differs, Kept, Kept},
		"a newer interruption there":     {at(1, "a", ledger.Succeeded, 1), at(1, "b", ledger.Running, 2), Differs, Kept, Kept},
		"two successes":                  {at(1, "a", ledger.Succeeded, 1), at(1, "b", ledger.Succeeded, 2), Differs, Kept, Store},
		"it has ended since":             {at(1, "a", ledger.Running, 1), at(1, "a", ledger.Succeeded, 1), Differs, Kept, Store},
		"it has ended here":              {at(1, "a", ledger.Succeeded, 1), at(1, "a", ledger.Running, 1), Differs, Kept, Kept},
		"it was taken over here as lost": {at(1, "a", ledger.Failed, 1), at(1, "a", ledger.Running, 1), Differs, Kept, Kept},
	} {
		for how, want := range map[Conflict]Verdict{Refuse: c.refuse, Keep: c.keep, Newer: c.newer} {
			if got := Resolve(c.have, c.want, how); got != want {
				t.Errorf("%s, %s: got %s, want %s", name, how, got, want)
			}
		}
	}
}

func TestResolveNumbers(t *testing.T) {
	history := ledger.Attempt{RunID: "a"}
	for name, c := range map[string]struct {
		have, want    ledger.Record
		history       bool
		refuse, newer Verdict
	}{
		"never recorded":               {ledger.Record{Generation: 1}, ledger.Record{Generation: 2, Fence: 1}, false, Store, Store},
		"known":                        {ledger.Record{Generation: 2, Fence: 1}, ledger.Record{Generation: 2, Fence: 1}, false, Same, Same},
		"only the fence":               {ledger.Record{Generation: 2}, ledger.Record{Generation: 1, Fence: 1}, false, Store, Store},
		"only the series":              {ledger.Record{Generation: 2, Current: history}, ledger.Record{Generation: 2, Series: 1}, true, Store, Store},
		"forgotten there, a run here":  {ledger.Record{Generation: 1, Fence: 9, Current: history}, ledger.Record{Generation: 2}, false, Differs, Same},
		"another run there and here":   {ledger.Record{Generation: 1, Fence: 9, Current: history}, ledger.Record{Generation: 2}, true, Same, Same},
		"forgotten there with a fence": {ledger.Record{Generation: 1, Current: history}, ledger.Record{Generation: 2, Fence: 1}, false, Differs, Store},
	} {
		for how, want := range map[Conflict]Verdict{Refuse: c.refuse, Newer: c.newer} {
			if got := ResolveNumbers(c.have, c.want, c.history, how); got != want {
				t.Errorf("%s, %s: got %s, want %s", name, how, got, want)
			}
		}
	}
}
