package runner

import (
	"errors"
	"slices"
	"testing"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

func TestFind(t *testing.T) {
	exact := func(window string) Which { return Which{Exact: true, Window: window} }
	latest, guess := Which{Latest: true}, Which{Guess: true}
	for _, test := range []struct {
		windows   []string // windows with a record, the latest last
		which     Which
		want      string // the window of the result
		found     bool   // something is recorded in it
		guessed   bool
		ambiguous []string
	}{
		{nil, Which{}, "", false, false, nil},
		{nil, guess, "", false, false, nil},
		{nil, latest, "", false, false, nil},
		{nil, exact("2026"), "2026", false, false, nil},
		{[]string{""}, Which{}, "", true, false, nil},
		{[]string{""}, guess, "", true, false, nil},
		{[]string{""}, latest, "", true, false, nil},
		{[]string{""}, exact("2026"), "2026", false, false, nil},
		{[]string{"", "2025", "2026"}, Which{}, "", true, false, nil},
		{[]string{"", "2025", "2026"}, guess, "", true, false, nil},
		{[]string{"", "2025", "2026"}, latest, "2026", true, false, nil},
		{[]string{"2026", ""}, latest, "", true, false, nil},
		{[]string{"2026", "2025"}, Which{}, "", false, false, []string{"2025", "2026"}},
		{[]string{"2026", "2025"}, guess, "2025", true, true, nil},
		{[]string{"2026", "2025"}, latest, "2025", true, false, nil},
		{[]string{"2026", "2025"}, exact("2026"), "2026", true, false, nil},
		{[]string{"2026", "2025"}, exact(""), "", false, false, nil},
		{[]string{"2023", "2024", "2025", "2026"}, Which{}, "", false, false, []string{"2026", "2025", "2024"}},
	} {
		l := ledgertest.NewMem().Open()
		record := func(id ledger.ID) {
			if _, err := Mark(t.Context(), l, id, Settlement{State: ledger.Succeeded, RunID: id.Namespace + id.Key + id.Window}); err != nil {
				t.Fatal(err)
			}
		}
		for _, window := range test.windows {
			record(ledger.ID{Namespace: "n", Key: "k", Window: window})
		}
		record(ledger.ID{Namespace: "n", Key: "other", Window: "2027"})
		record(ledger.ID{Namespace: "other", Key: "k", Window: "2027"})
		got, err := Find(t.Context(), l, "n", "k", test.which)
		var ambiguous *AmbiguousError
		if errors.As(err, &ambiguous) {
			var windows []string
			for _, rec := range ambiguous.Records {
				windows = append(windows, rec.ID.Window)
			}
			if !slices.Equal(windows, test.ambiguous) || ambiguous.More != (len(test.windows) > len(windows)) {
				t.Errorf("%+v: ambiguous among %q, more: %v", test, windows, ambiguous.More)
			}
			continue
		}
		id := ledger.ID{Namespace: "n", Key: "k", Window: test.want}
		if err != nil || test.ambiguous != nil || got.ID != id || got.Guessed != test.guessed || (got.Phase() != ledger.PhaseNone) != test.found {
			t.Errorf("%+v: got %+v, %v", test, got, err)
		}
	}
}
