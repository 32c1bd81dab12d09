package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"idem/ledger"
)

// daily runs a key on days, counted back from when the report is made.
func daily(h *history, key string, ends map[int]end, days ...int) {
	for _, d := range days {
		at := made.AddDate(0, 0, -d)
		h.run(ledger.ID{Key: key, Window: at.Format("2006-01-02")}, at.Add(-time.Hour), time.Minute, endOr(ends[d]))
	}
}

func endOr(e end) end {
	if e == (end{}) {
		return good
	}
	return e
}

func concernsOf(r *Report) (list []string) {
	for _, c := range r.Concerns {
		list = append(list, words[c.State]+" "+c.Name+" "+c.Window)
	}
	return list
}

// A short range must not hide that a job has stopped, or that a key failed before.
func TestWhatRanBeforeTheRangeIsJudged(t *testing.T) {
	h := newHistory()
	daily(h, "stopped", nil, 9, 8, 7, 6)
	daily(h, "runs", nil, 4, 3, 2, 1, 0)
	daily(h, "retired", nil, 203, 202, 201, 200)
	daily(h, "weekdays", nil, 21, 20, 19, 18, 17, 14, 13, 12, 11, 10, 7, 6, 5, 4, 3) // two gaps of 3 days
	daily(h, "outage", nil, 40, 39, 38, 10, 9, 8, 7, 6, 5)
	daily(h, "mended", map[int]end{5: bad}, 5, 4, 1, 0)
	h.run(ledger.ID{Key: "old"}, made.AddDate(0, 0, -5), time.Minute, bad)
	o := optionsOf()
	o.Since = made.AddDate(0, 0, -2)
	r := collected(t, h.fixture, o)
	if diff := cmp.Diff([]string{"↻ to run again outage ", "↻ to run again stopped "}, concernsOf(r)); diff != "" {
		t.Errorf("got other concerns (-want +got):\n%s", diff)
	}
	if r.FailedBefore != 1 {
		t.Errorf("got %d keys that failed before the range, want 1", r.FailedBefore)
	}
	if page, _ := pageOf(t, r); !strings.Contains(page, "1 key failed before this range") {
		t.Errorf("got a page that does not count the failure before the range")
	}
	o.Until = made.Add(-time.Minute)
	r = collected(t, h.fixture, o)
	if page, _ := pageOf(t, r); len(r.Concerns) > 0 || strings.Contains(page, "is late</p>") || strings.Contains(page, "recurs is late") {
		t.Errorf("got a page that judges jobs at a time in the past")
	}
}

// A success counts for the windows before its own, not for those after it.
func TestSuccessInAnEarlierWindowOvercomesNoFailure(t *testing.T) {
	h := newHistory()
	h.run(ledger.ID{Key: "k", Window: "2026-11-28"}, made.Add(-3*time.Hour), time.Minute, bad)
	h.run(ledger.ID{Key: "k", Window: "2026-11-20"}, made.Add(-2*time.Hour), time.Minute, good) // done again later
	h.run(ledger.ID{Key: "k", Window: "2026-11-30T05+00:00"}, made.Add(-2*time.Hour), time.Minute, good)
	h.run(ledger.ID{Key: "k", Window: "2026-11-10"}, made.Add(-time.Hour), time.Minute, bad)
	r := collected(t, h.fixture, optionsOf())
	if diff := cmp.Diff([]string{"× failed k 2026-11-28"}, concernsOf(r)); diff != "" {
		t.Errorf("got other concerns (-want +got):\n%s", diff)
	}
	if len(r.Overcome) != 1 || r.Overcome[0].Window != "2026-11-10" {
		t.Errorf("got %+v, want the window before the success", r.Overcome)
	}
	if page, _ := pageOf(t, r); !strings.Contains(page, "1 key failed in a window, and succeeded in a later one</summary>") || !strings.Contains(page, "idem show --window 2026-11-10 k") {
		t.Errorf("got a page without the overcome failure and its commands")
	}
}

func TestStateOfAKeyIsThatOfItsLatestAttemptInTheRange(t *testing.T) {
	h := newHistory()
	h.run(ledger.ID{Key: "k"}, made.Add(-time.Hour), 10*time.Minute, bad, good, bad)
	o := optionsOf()
	o.Until = made.Add(-45 * time.Minute) // without the last attempt
	r := collected(t, h.fixture, o)
	if len(r.Runs) != 2 || r.Keys[0].State != succeeded {
		t.Errorf("got %d attempts and the state %s, want 2 and that of the second one", len(r.Runs), words[r.Keys[0].State])
	}
}

// Failed keys without attempts in the page are bounded, and the other ones counted.
func TestFailedKeysAreBounded(t *testing.T) {
	h := newHistory()
	for i := range maxFailed + 100 {
		h.run(ledger.ID{Key: fmt.Sprintf("k:%d", i)}, made.Add(time.Duration(i-20_000)*time.Minute), time.Second, bad)
	}
	h.run(ledger.ID{Key: "open"}, made.Add(-29*24*time.Hour), 0, lost)
	o := optionsOf()
	o.MaxRuns = 10
	r := collected(t, h.fixture, o)
	if len(r.Keys) > maxFailed+o.MaxRuns+1 || r.Concerns[0].Name != "open" {
		t.Errorf("got %d keys, and first %+v", len(r.Keys), r.Concerns[0])
	}
	if got := len(r.Concerns) + r.Hidden; got != maxFailed+101 {
		t.Errorf("got %d concerns, want all %d", got, maxFailed+101)
	}
	if page, _ := pageOf(t, r); !strings.Contains(page, "older failed keys are only counted") {
		t.Errorf("got a page that does not say that keys are left out")
	}
}

func TestManyHosts(t *testing.T) {
	h := newHistory()
	const hosts = 1<<16 + 2
	for i := range hosts {
		h.run(ledger.ID{Key: "k"}, made.Add(time.Duration(i-hosts)*time.Second), time.Second, good)
		h.entries[i].Attempt.Owner.Host = fmt.Sprintf("web%d", i)
	}
	r := collected(t, h.fixture, optionsOf())
	if host := r.Hosts[r.Runs[hosts-1].Host]; host != fmt.Sprintf("web%d", hosts-1) {
		t.Errorf("got the host %s of the last attempt", host)
	}
}
