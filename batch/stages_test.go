package batch

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"idem/runner"
)

func TestStages(t *testing.T) {
	typed, sent := Signal{unix.SIGINT, true}, Signal{unix.SIGINT, false}
	term, hup, quit, usr := Signal{Number: unix.SIGTERM}, Signal{Number: unix.SIGHUP}, Signal{unix.SIGQUIT, true}, Signal{Number: unix.SIGUSR1}
	for _, c := range []struct {
		signals []Signal
		want    []stage
		fatal   syscall.Signal
	}{
		{[]Signal{typed, typed, typed, typed}, []stage{stageFinish, stageTerm, stageKill, stageKill}, unix.SIGINT},
		{[]Signal{sent, sent}, []stage{stageTerm, stageTerm}, unix.SIGINT},
		{[]Signal{term, term, typed}, []stage{stageTerm, stageTerm, stageKill}, unix.SIGTERM},
		{[]Signal{typed, term}, []stage{stageFinish, stageTerm}, unix.SIGINT},
		{[]Signal{hup}, []stage{stageTerm}, unix.SIGHUP},
		{[]Signal{quit}, []stage{stageTerm}, unix.SIGQUIT},
		{[]Signal{usr, typed}, []stage{stageNone, stageFinish}, unix.SIGINT},
	} {
		var s stages
		var got []stage
		for _, sig := range c.signals {
			next, ends := s.on(sig)
			if ends != (sig != usr) {
				t.Errorf("%v: %v ends the batch: %v", c.signals, sig, ends)
			}
			got = append(got, next)
		}
		if !slices.Equal(got, c.want) || s.fatal != c.fatal {
			t.Errorf("%v: got %v, %v, want %v, %v", c.signals, got, s.fatal, c.want, c.fatal)
		}
	}
}

// TestSignals sends signals to a batch with two commands. One ends by itself, the other one
// only by the second signal.
func TestSignals(t *testing.T) {
	const script = count + `echo up >>up; [ $1 = quick ] || { exec sleep 600; }; until [ -e go ]; do sleep 0.01; done`
	k := newSched(t)
	b := k.list(script, "quick", "long", "never")
	b.Slots = 2
	b.change = func(c *runner.Call) { c.Limits.Timeout = time.Hour }
	result := b.begin()
	k.until("up", 2)
	b.arrivals <- Signal{unix.SIGINT, true}
	k.touch("go")
	for !strings.Contains(b.of(KindEnd), "quick") {
		time.Sleep(time.Millisecond)
	}
	b.arrivals <- Signal{unix.SIGINT, true}
	r := <-result
	if r.Counts[Done] != 1 || r.Counts[Failed] != 1 || r.Verdict() != VerdictSignal || r.Signal != unix.SIGINT || r.Stop != BySignal {
		t.Errorf("got %v, %+v", r.Counts, r)
	}
	k.wantSidesOnce("quick", "long")
	rec, err := k.mem.Open().Get(t.Context(), idOf("long"))
	must(t, err)
	if rec.Current.Signal != int(unix.SIGTERM) {
		t.Errorf("got %+v, want a death by TERM", rec.Current)
	}
}

func (k *kit) wantSidesOnce(names ...string) {
	k.Helper()
	got := strings.Fields(k.side())
	slices.Sort(got)
	slices.Sort(names)
	if !slices.Equal(got, names) {
		k.Errorf("the commands ran for %v, want %v", got, names)
	}
}

// TestSignalsEndWaits sends TERM while the batch waits for another call, for a retry, and for
// input.
func TestSignalsEndWaits(t *testing.T) {
	k := newSched(t)
	claim, err := k.mem.Open().Claim(t.Context(), idOf("busy"))
	must(t, err)
	defer claim.Release()
	entries := make(chan Entry, 3)
	b := k.from(count+`false`, func() (Entry, error) { return <-entries, nil })
	b.change = func(c *runner.Call) { c.Retries = runner.Retries{N: 5, Delay: time.Hour, MaxDelay: time.Hour} }
	entries <- entry(1, "busy")
	entries <- entry(2, "retry")
	retried, waits := false, false
	b.hear = func(n Notice) {
		retried, waits = retried || n.Kind == KindRetry, waits || n.Kind == KindWait
		if retried && waits && n.Kind != KindSignal && n.Kind != KindEnd {
			b.arrivals <- Signal{Number: unix.SIGTERM}
		}
	}
	r := b.run()
	r.check(t, "1 failed, 1 not reached", VerdictSignal)
	entries <- entry(3, "late") // lets the reader go
}

func TestThrottle(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	th := throttle{slots: 8, most: 8}
	full := func(running int, want bool) {
		if got := th.full(now, running); got != want {
			t.Errorf("a start that failed counts: %v, want %v", got, want)
		}
	}
	wants := func(slots int, delay time.Duration) {
		if th.slots != slots || th.due(now) != delay {
			t.Errorf("got %d slots after %v, want %d after %v", th.slots, th.due(now), slots, delay)
		}
		now = now.Add(delay)
	}
	full(7, true)
	full(6, false)
	wants(4, firstDelay)
	full(0, true)
	wants(1, 2*firstDelay)
	for range 20 {
		full(0, true)
		now = now.Add(th.due(now))
	}
	full(0, true)
	wants(1, lastDelay)
	for i := range 9 {
		now = now.Add(lastDelay + growAfter)
		th.started(now)
		th.started(now)
		if want := min(i+2, 8); th.slots != want {
			t.Errorf("got %d slots, want %d", th.slots, want)
		}
	}
}

func TestSet(t *testing.T) {
	var s set
	const n = 100_000
	for h := range uint64(n) {
		if s.add(h * 0x9e3779b97f4a7c15) {
			t.Fatalf("%d was there before", h)
		}
	}
	for h := range uint64(n) {
		if !s.add(h * 0x9e3779b97f4a7c15) {
			t.Fatalf("%d is not there", h)
		}
	}
	if s.has(12345) || new(set).has(1) {
		t.Error("a hash is there that was not added")
	}
	if s.bytes > 17*n {
		t.Errorf("got %d bytes", s.bytes)
	}
}

func TestSeen(t *testing.T) {
	s := NewSeen()
	for i, c := range []struct {
		key, fingerprint string
		before, same     bool
	}{
		{"a", "f", false, false},
		{"b", "f", false, false},
		{"a", "f", true, true},
		{"a", "g", true, false},
		{"a", "g", true, false},
		{"b", "f", true, true},
		{"c", "g", false, false},
	} {
		if before, same := s.Add(Entry{ID: idOf(c.key), Fingerprint: c.fingerprint}); before != c.before || same != c.same {
			t.Errorf("%d: got %v, %v", i, before, same)
		}
	}
}

// The garbage between two collections is the same with tables of any size.
func TestCollections(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(fewCollections))
	var c collections
	for _, tables := range []int{0, 1 << 20, 16 << 20, 100 << 20} {
		c.add(tables)
		percent := debug.SetGCPercent(fewCollections)
		if garbage := (smallHeap + tables) * percent / 100; garbage > 2*smallHeap || garbage < 7*smallHeap/4 {
			t.Errorf("%d MB of tables: got %d KB of garbage", tables>>20, garbage>>10)
		}
		c.add(-tables)
	}
}

// TestIntake pushes more than the intake holds.
func TestIntake(t *testing.T) {
	q := newIntake()
	const n = 3 * maxAhead
	go func() {
		for i := range n {
			q.push(&unit{Entry: entry(i, fmt.Sprint(i))})
		}
	}()
	for i := 0; i < n; {
		u := q.pop()
		if u == nil {
			time.Sleep(time.Microsecond)
			continue
		}
		if u.No != i {
			t.Fatalf("got item %d, want %d", u.No, i)
		}
		if q.len() > maxAhead {
			t.Fatalf("got %d items", q.len())
		}
		i++
	}
	q.close()
	if q.push(&unit{}) {
		t.Error("a closed intake takes an item")
	}
}
