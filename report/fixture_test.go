package report

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"idem/jobs"
	"idem/ledger"
)

// fixture is a ledger with these entries and no more.
type fixture struct {
	ledger.Ledger // nil: a report calls no other method
	entries       []ledger.Entry
	outputs       map[string]string // by run id
}

func (f *fixture) Histories(context.Context, string) iter.Seq2[ledger.Entry, error] {
	return func(yield func(ledger.Entry, error) bool) {
		for _, e := range f.entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (f *fixture) Keys(context.Context, string) iter.Seq2[ledger.ID, error] {
	return func(yield func(ledger.ID, error) bool) {
		for _, e := range f.entries {
			if e.Record != nil && e.ID == e.Top && !yield(e.ID, nil) {
				return
			}
		}
	}
}

func (f *fixture) Get(_ context.Context, id ledger.ID) (ledger.Record, error) {
	for _, e := range f.entries {
		if e.Record != nil && e.ID == id {
			return *e.Record, nil
		}
	}
	return ledger.Record{}, nil
}

func (f *fixture) List(_ context.Context, filter ledger.Filter) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		for _, e := range f.entries {
			if e.Record != nil && filter.Selects(*e.Record) && !yield(*e.Record, nil) {
				return
			}
		}
	}
}

// tail returns the last lines of an output, as Options.Tail.
func (f *fixture) tail(_ context.Context, _ ledger.ID, run string, n int) ([]string, error) {
	lines := strings.Split(strings.TrimSuffix(f.outputs[run], "\n"), "\n")
	return lines[max(0, len(lines)-n):], nil
}

// made is when the reports of the tests are made.
var made = time.Date(2026, 11, 30, 9, 40, 0, 0, time.UTC)

// history makes entries.
type history struct {
	*fixture
	rand *rand.Rand
}

func newHistory() *history {
	return &history{&fixture{outputs: map[string]string{}}, rand.New(rand.NewPCG(1, 2))}
}

// end is how an attempt of the fixture ended. The zero end is a success.
type end struct {
	state  ledger.State
	reason ledger.Reason
	code   int
}

var (
	good    = end{ledger.Succeeded, ledger.ReasonExit, 0}
	bad     = end{ledger.Failed, ledger.ReasonExit, 1}
	late    = end{ledger.Failed, ledger.ReasonTimeout, 124}
	lost    = end{ledger.Running, "", 0}
	working = end{ledger.Running, "", 1} // alive
)

// run adds a key with attempts that follow each other.
func (h *history) run(id ledger.ID, start time.Time, took time.Duration, ends ...end) *ledger.Record {
	if id.Namespace == "" {
		id.Namespace = "default"
	}
	rec := &ledger.Record{ID: id, Generation: 1, Attempts: len(ends)}
	for n, e := range ends {
		at := ledger.Attempt{
			Number: n + 1, RunID: fmt.Sprintf("%s/%s/%d", id.Key, id.Window, n), State: e.state, Reason: e.reason, ExitCode: e.code,
			Started: start, Owner: ledger.Owner{Host: "web1", PID: 4711, User: "root"}, OutputBytes: 812,
		}
		if e.state != ledger.Running {
			at.Ended = start.Add(took)
		}
		entry := ledger.Entry{ID: id, Attempt: at, Top: id}
		if n == len(ends)-1 {
			rec.Current, rec.Alive = at, e == working
			entry.Record = rec
		}
		h.entries = append(h.entries, entry)
		start = start.Add(took + 30*time.Second)
	}
	return rec
}

// about returns a duration near d.
func (h *history) about(d time.Duration) time.Duration {
	return time.Duration(float64(d) * math.Exp(h.rand.NormFloat64()*0.18))
}

// month is the history of a host with jobs of cron, deploys, a batch and some failures.
func month() *fixture {
	h := newHistory()
	first := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for day := range 30 {
		date := first.AddDate(0, 0, day)
		window := date.Format("2006-01-02")
		id := ledger.ID{Key: "backup:db", Window: window}
		took := h.about(38 * time.Minute)
		if day >= 22 { // it gets slower
			took = h.about(time.Duration(40+12*(day-21)) * time.Minute)
		}
		switch day {
		case 8:
			h.run(id, date.Add(2*time.Hour), 3*time.Minute, bad, bad, good)
		case 17:
			h.run(id, date.Add(2*time.Hour), 2*time.Hour, late)
		default:
			h.run(id, date.Add(2*time.Hour), took, good)
		}
		if day < 26 { // it stopped
			h.run(ledger.ID{Key: "cert:renew", Window: window}, date.Add(4*time.Hour+12*time.Minute), h.about(9*time.Second), good)
		}
		for hour := range 24 {
			at := date.Add(time.Duration(hour) * time.Hour)
			if at.After(made) {
				break
			}
			id := ledger.ID{Key: "feed:import", Window: at.Format("2006-01-02T15") + "+00:00"}
			switch n := h.rand.IntN(100); {
			case day == 12 && hour > 8 && hour < 15:
				h.run(id, at, h.about(2*time.Second), bad, bad)
			case n < 2:
				h.run(id, at, h.about(20*time.Second), bad, good)
			default:
				h.run(id, at, h.about(95*time.Second), good)
			}
			if hour%6 == 0 {
				h.run(ledger.ID{Key: "reports:send", Window: at.Format("2006-01-02T15:04") + "/PT6H"}, at.Add(7*time.Minute), h.about(4*time.Minute), good)
			}
		}
		for n := range h.rand.IntN(5) {
			id := ledger.ID{Key: fmt.Sprintf("deploy:prod:%d", 8400+10*day+n)}
			at := date.Add(9*time.Hour + time.Duration(h.rand.IntN(8*60))*time.Minute)
			if at.After(made) {
				break
			}
			e := good
			if h.rand.IntN(14) == 0 {
				e = bad
			}
			h.run(id, at, h.about(6*time.Minute), e)
			h.outputs[h.entries[len(h.entries)-1].Attempt.RunID] = "health check of web3 …\nhealth check of web3: connection refused\ndeploy aborted, web3 keeps release 8399\n"
		}
	}
	for i := range 60 {
		at := first.AddDate(0, 0, 19).Add(14*time.Hour + time.Duration(i)*time.Minute)
		h.run(ledger.ID{Key: fmt.Sprintf("invoice:%d:send", 51000+i)}, at, h.about(1500*time.Millisecond), good)
	}
	h.run(ledger.ID{Key: "migrate:v7"}, first.AddDate(0, 0, 27).Add(11*time.Hour), 0, lost)
	h.outputs["migrate:v7//0"] = "ALTER TABLE orders ADD COLUMN vat_id\nfilling vat_id: 41 %\n"
	h.run(ledger.ID{Key: "archive:orders", Window: "2026-W48"}, made.Add(-9*time.Minute), 0, working)
	for week := range 4 {
		h.run(ledger.ID{Key: "archive:orders", Window: fmt.Sprintf("2026-W%d", 44+week)}, first.AddDate(0, 0, 7*week).Add(30*time.Hour), h.about(25*time.Minute), good)
	}
	return h.fixture
}

// optionsOf are the options of a usual report.
func optionsOf() Options {
	return Options{
		Options: jobs.Options{Since: made.AddDate(0, 0, -30)}, Now: made, MaxRuns: 200_000,
		Text: func(s string) string { return strings.ToValidUTF8(s, "\uFFFD") },
		Command: func(id ledger.ID, words ...string) string {
			line := "idem " + strings.Join(words, " ")
			if id.Window != "" {
				line += " --window " + id.Window
			}
			return line + " " + id.Key
		},
		Inputs: func(ledger.Attempt) (string, string) { return "restic backup /srv", "" },
	}
}

// collected returns the report of a fixture.
func collected(t *testing.T, f *fixture, o Options) *Report {
	t.Helper()
	o.Tail = f.tail
	r, err := Collect(t.Context(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	r.Title, r.Host, r.Ledger, r.Version = "idem report: web1", "web1", "/var/lib/idem", "0.1.0"
	return r
}

// written writes the page of a report into a file.
func written(t *testing.T, r *Report) string {
	t.Helper()
	path := t.TempDir() + "/report.html"
	if keep := os.Getenv("IDEM_TEST_REPORT"); keep != "" {
		path = keep
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMonth(t *testing.T) {
	o := optionsOf()
	o.OutputLines = 3
	written(t, collected(t, month(), o))
}
