package runner

import (
	"testing"
	"time"

	"idem/ledger"
)

func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

func TestRetentionOfOutputs(t *testing.T) {
	out := func(at int, superseded bool) ledger.StoredOutput {
		return ledger.StoredOutput{ID: ledger.ID{Namespace: "n", Key: "k"}, At: day(at), Superseded: superseded, State: ledger.Succeeded}
	}
	running := out(1, true)
	running.State = ledger.Running
	pending, replaced := out(1, false), out(1, true)
	pending.Pending, replaced.Pending = true, true
	all := Retention{Superseded: day(20), Outputs: day(10), Room: day(15)}
	other := all
	other.Namespace = "m"
	for name, test := range map[string]struct {
		r    Retention
		o    ledger.StoredOutput
		want Removal
	}{
		"no rule":                    {Retention{}, out(1, true), Keep},
		"superseded":                 {all, out(19, true), RemovalSuperseded},
		"superseded, at the limit":   {all, out(20, true), Keep},
		"old":                        {all, out(9, false), RemovalOld},
		"at the limit":               {Retention{Outputs: day(10)}, out(10, false), Keep},
		"for room":                   {all, out(14, false), RemovalRoom},
		"young":                      {all, out(15, false), Keep},
		"of a running key":           {all, running, Keep},
		"of a run that may go on":    {all, pending, Keep},
		"replaced, of such a run":    {all, replaced, RemovalSuperseded},
		"in another namespace":       {other, out(1, true), Keep},
		"superseded wins, for names": {all, out(1, true), RemovalSuperseded},
	} {
		if got := test.r.Output(test.o); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestRetentionOfRecords(t *testing.T) {
	r := Retention{Windows: day(20), Keys: day(10), Patterns: ledger.Globs{"order:*"}}
	for name, test := range map[string]struct {
		key, window string
		state       ledger.State
		below       ledger.Below
		parent      string
		want        Removal
	}{
		"a window":                           {key: "a", window: "2026-01-01", state: ledger.Succeeded, want: RemovalWindow},
		"a failed window":                    {key: "a", window: "2026-01-01", state: ledger.Failed, want: RemovalWindow},
		"no window":                          {key: "a", state: ledger.Succeeded},
		"a pattern":                          {key: "order:1", state: ledger.Succeeded, want: RemovalKey},
		"a batch":                            {key: "order:1", state: ledger.Batch, below: ledger.Below{Records: 1, Newest: day(9)}, want: RemovalKey},
		"running":                            {key: "order:1", window: "w", state: ledger.Running},
		"to run again":                       {key: "order:1", window: "w", state: ledger.None},
		"a batch whose items are young":      {key: "order:1", state: ledger.Batch, below: ledger.Below{Records: 1, Newest: day(10)}},
		"a run whose step is interrupted":    {key: "order:1", state: ledger.Failed, below: ledger.Below{Records: 1, Newest: day(1), Running: true}},
		"a step":                             {key: "order:1/a", parent: "order:1", state: ledger.Succeeded},
		"a window whose step ended long ago": {key: "a", window: "w", state: ledger.Succeeded, below: ledger.Below{Records: 1, Newest: day(19)}, want: RemovalWindow},
	} {
		var parent ledger.ID
		if test.parent != "" {
			parent.Key = test.parent
		}
		got := r.Record(ledger.OldRecord{Below: test.below, Record: ledger.Record{
			ID: ledger.ID{Key: test.key, Window: test.window}, Parent: parent, Current: ledger.Attempt{State: test.state, Started: day(1), Ended: day(2)},
		}})
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	lost := ledger.OldRecord{Record: ledger.Record{ID: ledger.ID{Key: "order:1"}, Current: ledger.Attempt{State: ledger.Failed, Started: day(11)}}}
	if got := r.Record(lost); got != Keep {
		t.Errorf("lost: got %q", got)
	}
	if (&Retention{Keys: day(30)}).Record(lost) != Keep {
		t.Error("keys without a pattern went")
	}
}

func TestFit(t *testing.T) {
	outputs := []Sized{{day(3), 30}, {day(1), 10}, {day(2), 20}}
	for most, want := range map[int64]time.Time{60: {}, 59: day(1), 50: day(1), 49: day(2), 30: day(2), 29: day(3), 0: day(3)} {
		if got := Fit(outputs, most); got.After(want.Add(time.Nanosecond)) || !want.IsZero() && !got.After(want) {
			t.Errorf("%d bytes: got %v, want just after %v", most, got, want)
		}
	}
}
