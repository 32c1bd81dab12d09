package jobs

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"idem/ledger"
)

// fixed is a ledger with these entries.
type fixed []ledger.Entry

func (f fixed) Histories(context.Context, string) iter.Seq2[ledger.Entry, error] {
	return func(yield func(ledger.Entry, error) bool) {
		for _, e := range f {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (f fixed) Keys(context.Context, string) iter.Seq2[ledger.ID, error] {
	return func(yield func(ledger.ID, error) bool) {
		for _, e := range f {
			if e.Record != nil && e.ID == e.Top && !yield(e.ID, nil) {
				return
			}
		}
	}
}

var day = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// ran returns the only attempt of a key.
func ran(key string) ledger.Entry {
	id := ledger.ID{Namespace: "default", Key: key}
	at := ledger.Attempt{Number: 1, RunID: "r", State: ledger.Succeeded, Reason: ledger.ReasonExit, Started: day, Ended: day.Add(time.Second)}
	return ledger.Entry{ID: id, Top: id, Attempt: at, Record: &ledger.Record{ID: id, Attempts: 1, Current: at}}
}

// names returns the sorted names of the lanes of keys, with the number of attempts of each.
func names(t *testing.T, o Options, keys ...string) []string {
	t.Helper()
	var f fixed
	for _, k := range keys {
		f = append(f, ran(k))
	}
	sum, err := Walk(t.Context(), f, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, j := range sum.Lanes {
		got = append(got, fmt.Sprintf("%s %d", j.Name, j.Attempts()))
	}
	slices.Sort(got)
	return got
}

func TestKeysAreGroupedByTheirCommonPattern(t *testing.T) {
	numbered := func(format string, n int) (keys []string) {
		for i := range n {
			keys = append(keys, fmt.Sprintf(format, i))
		}
		return keys
	}
	both := func(n int) (keys []string) {
		for i := range n {
			keys = append(keys, fmt.Sprintf("order:%d:charge", i), fmt.Sprintf("order:%d:mail", i))
		}
		return keys
	}
	for _, c := range []struct {
		name string
		o    Options
		keys []string
		want []string
	}{
		{"a pattern has five keys", Options{}, numbered("deploy:prod:%d", 5), []string{"deploy:prod:* 5"}},
		{"four keys are too few", Options{}, numbered("a:%d", 4), []string{"a:0 1", "a:1 1", "a:2 1", "a:3 1"}},
		{"slashes", Options{}, numbered("a/b/%d", 6), []string{"a/b/* 6"}},
		{"in the middle", Options{}, both(7), []string{"order:*:charge 7", "order:*:mail 7"}},
		{"in front", Options{}, numbered("%d:x", 5), []string{"*:x 5"}},
		{"no separator", Options{}, numbered("k%d", 6), []string{"k0 1", "k1 1", "k2 1", "k3 1", "k4 1", "k5 1"}},
		{"the larger one", Options{}, append(numbered("a:%d:x", 7), numbered("a:0:%d", 5)...), []string{"a:*:x 7", "a:0:* 5"}},
		{"the later segment", Options{}, func() (keys []string) {
			for i := range 25 {
				keys = append(keys, fmt.Sprintf("%d:%d", i/5, i%5))
			}
			return keys
		}(), []string{"0:* 5", "1:* 5", "2:* 5", "3:* 5", "4:* 5"}},
		{"empty segments", Options{}, append(numbered("a::%d", 5), "a:", ":", "::"), []string{": 1", ":: 1", "a: 1", "a::* 5"}},
		{"a pattern of the user", Options{GroupBy: ledger.Globs{"a:?", "*"}}, []string{"a:1", "a:2", "b", "c:d"}, []string{"* 2", "a:? 2"}},
		{"selected keys", Options{Globs: ledger.Globs{"a:*"}}, []string{"a:1", "b"}, []string{"a:1 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := names(t, c.o, c.keys...); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Windows of one key are one key.
func TestWindowsOfAKeyAreOneJob(t *testing.T) {
	var f fixed
	for i := range 6 {
		for _, key := range []string{"a:x", "a:y", "b"} {
			e := ran(key)
			e.ID.Window = fmt.Sprintf("2026-11-%02d", i+1)
			e.Top, e.Record.ID = e.ID, e.ID
			f = append(f, e)
		}
	}
	sum, err := Walk(t.Context(), f, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(sum.Lanes) != 3 || sum.Lanes[0].Attempts() != 6 || sum.Lanes[0].Per != "day" {
		t.Errorf("got %d lanes, the first one is %+v", len(sum.Lanes), sum.Lanes[0])
	}
}

// A job that recurs has a separate lane, so its failure is seen next to successes.
func TestKeysWithWindowsAreSeldomGrouped(t *testing.T) {
	daily := func(keys int) *Summary {
		var f fixed
		for i := range keys {
			for day := range 3 {
				e := ran(fmt.Sprintf("backup:%d", i))
				e.ID.Window = fmt.Sprintf("2026-11-%02d", day+1)
				if e.Top = e.ID; i == 3 && day == 2 {
					e.Attempt.State = ledger.Failed
				}
				e.Record.ID, e.Record.Current = e.ID, e.Attempt
				f = append(f, e)
			}
		}
		for i := range 5 {
			f = append(f, ran(fmt.Sprintf("backup:once%d", i)))
		}
		sum, err := Walk(t.Context(), f, Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	failed := func(sum *Summary) (names []string) {
		for _, j := range sum.Lanes {
			if j.Runs[Failed] > 0 {
				names = append(names, j.Name)
			}
		}
		return names
	}
	if sum := daily(5); len(sum.Lanes) != 6 || !slices.Equal(failed(sum), []string{"backup:3"}) {
		t.Errorf("five daily keys: got %d lanes, and failures of %q", len(sum.Lanes), failed(sum))
	}
	if sum := daily(windowedGroupSize - 1); len(sum.Lanes) != windowedGroupSize {
		t.Errorf("got %d lanes, want one for each key with windows, and one for the other keys", len(sum.Lanes))
	}
	if sum := daily(windowedGroupSize); len(sum.Lanes) != 1 || sum.Lanes[0].Name != "backup:*" {
		t.Errorf("got %d lanes, want one pattern", len(sum.Lanes))
	}
}

// A job that recurs has a lane, also after many keys that ran once.
func TestLanesAreKeptForJobsWithWindows(t *testing.T) {
	var f fixed
	for i := range MaxLanes + 5 {
		f = append(f, ran(fmt.Sprintf("k%d", i)))
	}
	e := ran("backup")
	e.ID.Window = "2026-11-01"
	e.Top, e.Record.ID = e.ID, e.ID
	sum, err := Walk(t.Context(), append(f, e), Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last := sum.Lanes[len(sum.Lanes)-1]; last.Name != "backup" || last.Attempts() != 1 {
		t.Errorf("got %+v, want the job with windows", last.Lane)
	}
	if other := sum.Lanes[len(sum.Lanes)-2]; other.Name != "" || other.Attempts() != keptLanes+5 {
		t.Errorf("got %+v with %d attempts, want the job without a name", other.Lane, other.Attempts())
	}
}

func TestManyPatternsNeedLittleMemory(t *testing.T) {
	const limit = 1 << 12
	g := newGroups(nil, limit)
	for i := range 3 * limit / 2 {
		g.add(ledger.ID{Key: fmt.Sprintf("order:%d", i)})
		if i%100 == 0 {
			g.add(ledger.ID{Key: fmt.Sprintf("a%d:b%d:c", i, i)})
		}
	}
	if len(g.counts.slots) > limit {
		t.Errorf("%d slots", len(g.counts.slots))
	}
	if name, _ := g.nameOf(ledger.ID{Key: "order:new"}); name != "order:*" {
		t.Errorf("got %q", name)
	}
	full := &counts{limit: limit}
	for i := range 2 * limit {
		full.add(uint64(i/2) + 1) // each twice
	}
}

// A run inside of a run counts in no figure, and the figures are those of the runs.
func TestFiguresOfAJob(t *testing.T) {
	id := ledger.ID{Namespace: "default", Key: "k"}
	at := func(number int, state ledger.State, reason ledger.Reason, minute, took, exit int) ledger.Attempt {
		a := ledger.Attempt{Number: number, RunID: fmt.Sprint(minute), State: state, Reason: reason, Started: day.Add(time.Duration(minute) * time.Minute), ExitCode: exit}
		if took >= 0 {
			a.Ended = a.Started.Add(time.Duration(took) * time.Second)
		}
		return a
	}
	attempts := []ledger.Attempt{
		at(1, ledger.Failed, ledger.ReasonExit, 0, 9, 3),
		at(2, ledger.Failed, ledger.ReasonTimeout, 1, 8, 124),
		at(3, ledger.Failed, ledger.ReasonLost, 2, -1, 0),
		at(0, ledger.None, ledger.ReasonMarked, 3, 0, 0),
		at(4, ledger.Succeeded, ledger.ReasonExit, 4, 5, 0),
		at(5, ledger.Succeeded, ledger.ReasonTransaction, 5, 7, 0),
		at(6, ledger.Running, "", 6, -1, 0),
	}
	var f fixed
	for i, a := range attempts {
		e := ledger.Entry{ID: id, Top: id, Attempt: a}
		if i == len(attempts)-1 {
			e.Record = &ledger.Record{ID: id, Current: a, Alive: true}
		}
		f = append(f, e, ledger.Entry{ID: ledger.ID{Namespace: "default", Key: "k/step"}, Top: id, Inner: true, Attempt: attempts[0]})
	}
	var seen []Result
	sum, err := Walk(t.Context(), f, Options{}, func(r Run) {
		if !r.Inner {
			seen = append(seen, r.Result)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []Result{Failed, Timeout, Interrupted, Marked, Succeeded, Succeeded, Running}; !slices.Equal(seen, want) {
		t.Errorf("results: got %v, want %v", seen, want)
	}
	j := *sum.Lanes[0]
	j.durations, j.lastEnd = Durations{}, time.Time{}
	want := Job{
		Lane: Lane{Namespace: "default", Name: "k"}, Runs: [len(Results)]int{2, 1, 1, 1, 1, 1}, Retries: 5, Median: 5 * time.Second, P95: 7 * time.Second,
		LastRun: attempts[6].Started, LastGood: attempts[5].Ended, LastTook: 7 * time.Second, LastExit: Unknown, Since: attempts[6].Started,
	}
	if fmt.Sprintf("%+v", j) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", j, want)
	}
	if j.Attempts() != 6 || sum.Keys["default"][ledger.PhaseRunning] != 1 || sum.Oldest != attempts[0].Started || sum.Newest != attempts[6].Started {
		t.Errorf("got %+v", sum)
	}
	sum, err = Walk(t.Context(), f[:12], Options{Since: attempts[1].Started, Until: attempts[4].Started}, nil)
	if err != nil || sum.Lanes[0].Attempts() != 2 {
		t.Errorf("between two times: got %+v, %v", sum.Lanes[0], err)
	}
}

func TestQuantiles(t *testing.T) {
	for _, n := range []int{1, 2, 5, 100, exactDurations, exactDurations + 1, 5000} {
		var d Durations
		var all []time.Duration
		r := rand.New(rand.NewPCG(1, uint64(n)))
		for range n {
			one := time.Duration(math.Exp(r.Float64()*30)) * time.Microsecond
			d.Add(one)
			all = append(all, one)
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.5, 0.95, 1} {
			want := all[max(1, int(math.Ceil(q*float64(n))))-1]
			got := d.Quantile(q)
			if n <= exactDurations && got != want || math.Abs(float64(got-want)) > 0.02*float64(want)+1000 {
				t.Errorf("%d durations, quantile %v: got %v, want %v", n, q, got, want)
			}
		}
	}
	if got := (&Durations{}).Quantile(0.5); got != Unknown {
		t.Errorf("without durations: got %v", got)
	}
}

func TestLatestJobsAndTheOtherOnes(t *testing.T) {
	sum := &Summary{}
	for i, name := range []string{"b", "", "a", "c"} {
		j := newJob(Lane{Name: name})
		j.Runs[Succeeded], j.LastRun = 1+i, day.Add(time.Duration(i)*time.Hour)
		sum.Lanes = append(sum.Lanes, j)
	}
	for _, c := range []struct {
		n, runs int
		want    string
	}{{1, 6, "c"}, {2, 3, "ca"}, {3, 2, "cab"}, {9, 2, "cab"}} {
		latest, other := sum.Latest(c.n)
		got := ""
		for _, j := range latest {
			got += j.Name
		}
		if got != c.want || other.Attempts() != c.runs || other.Name != "" {
			t.Errorf("%d: got %q and %+v", c.n, got, other)
		}
	}
	sum.Lanes[2].Per = "day" // it has stopped
	if watched, other := sum.Watched(1); len(watched) != 1 || watched[0].Name != "a" || other.Attempts() != 7 {
		t.Errorf("got %+v and %+v, want the job with windows first", watched, other)
	}
	sum.Lanes = sum.Lanes[2:]
	if latest, other := sum.Latest(2); len(latest) != 2 || other != nil {
		t.Errorf("got %v, %v", latest, other)
	}
}
