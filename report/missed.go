package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"idem/hashkey"
	"idem/jobs"
	"idem/ledger"
)

// windows are those in which a job ran, or which were settled by a mark.
type windows struct {
	list []window // at most twice maxWindows, in no order
	from int64    // those before are too many, and not kept
	// oldest is the window of the settled record whose latest attempt began first. gc may have
	// forgotten the windows before that attempt, so only later ones can be missed.
	oldest window
}

type window struct {
	hashkey.Number
	start int64 // of its first attempt, in seconds since 1970
}

// maxWindows is how many windows of a job are judged: the latest ones.
const maxWindows = 1 << 14

// add notes a run or mark.
func (w *windows) add(run jobs.Run) {
	n, ok := hashkey.Numbers{Per: run.Job.Per}.Number(run.ID.Window)
	if !ok || n.N < w.from {
		return
	}
	one := window{n, run.Start.Unix()}
	if rec := run.Record; rec != nil {
		switch rec.Phase() {
		case ledger.PhaseSucceeded, ledger.PhaseFailed:
			if w.oldest == (window{}) || one.start < w.oldest.start {
				w.oldest = one
			}
		case ledger.PhaseRetry:
			if run.Result == jobs.Marked { // it is still to run
				return
			}
		}
	}
	if run.Result == jobs.Marked && run.Record == nil {
		return
	}
	if n := len(w.list); n > 0 && w.list[n-1].Number == one.Number { // the first attempt came first
		return
	}
	w.list = append(w.list, one)
	if len(w.list) == 2*maxWindows {
		w.sort()
		if drop := len(w.list) - maxWindows; drop > 0 {
			w.list = slices.Delete(w.list, 0, drop)
			w.from = w.list[0].N
		}
	}
}

// sort sorts the windows, and leaves each in once.
func (w *windows) sort() {
	slices.SortFunc(w.list, func(a, b window) int { return cmp.Or(cmp.Compare(a.N, b.N), cmp.Compare(a.start, b.start)) })
	w.list = slices.CompactFunc(w.list, func(a, b window) bool { return a.N == b.N })
}

// begin returns the first window of a sorted list that can be judged.
func (w *windows) begin(m missed) int64 {
	last := w.list[len(w.list)-1]
	if w.oldest == (window{}) {
		return last.N
	}
	begin := w.oldest.N
	// After a late run of an old window, those between may nevertheless be forgotten. The last window
	// tells how the clock of the job differs from UTC, but for a run near midnight.
	shift := last.N - m.at(time.Unix(last.start, 0))
	if then := m.at(time.Unix(w.oldest.start, 0)) + shift; then > begin+1 {
		begin = then + 1
	}
	return max(begin, last.N-maxWindows)
}

// habit says in which windows of a day and of a week a job usually runs. Without it, a job of
// working days would miss each weekend.
type habit struct {
	numbers hashkey.Numbers
	cycles  []int64
	shares  [][]share // by cycle and phase
}

// share is in how many windows of a phase a job ran.
type share struct{ ran, all int32 }

// habitOf finds the habit. A pause of a week or more is left out: a phase that is not like the
// other ones shows between pauses.
func habitOf(numbers hashkey.Numbers, list []window) habit {
	h := habit{numbers: numbers, cycles: numbers.Cycles()}
	for _, c := range h.cycles {
		h.shares = append(h.shares, make([]share, c))
	}
	for i, w := range list {
		h.count(w.Number, 1)
		if i+1 == len(list) || !h.counts(list[i+1].N-w.N-1) {
			continue
		}
		for n := w.N + 1; n < list[i+1].N; n++ {
			h.count(hashkey.Number{N: n, Offset: w.Offset}, 0)
		}
	}
	return h
}

// counts reports whether a pause of a number of windows is shorter than the longest cycle.
func (h habit) counts(pause int64) bool { return pause < h.cycles[len(h.cycles)-1] }

func (h habit) count(n hashkey.Number, ran int32) {
	for i, c := range h.cycles {
		s := &h.shares[i][h.numbers.Phase(n, c)]
		s.ran, s.all = s.ran+ran, s.all+1
	}
}

// ranIn reports whether the job ran in at least half of the windows with the phase of n, in
// each cycle.
func (h habit) ranIn(n hashkey.Number) bool {
	for i, c := range h.cycles {
		if s := h.shares[i][h.numbers.Phase(n, c)]; 2*s.ran < s.all {
			return false
		}
	}
	return true
}

// expects reports whether a window in a pause of a number of windows is one in which the job
// usually runs. counted is true if habitOf has counted the pause. A cycle tells nothing if no
// other window had the phase of n. The shortest cycle must tell, and for a pause that long the
// other one too, or it may be the first weekend of a job.
func (h habit) expects(n hashkey.Number, pause int64, counted bool) bool {
	for i, c := range h.cycles {
		s := h.shares[i][h.numbers.Phase(n, c)]
		others := s.all
		if counted {
			others--
		}
		switch {
		case others == 0 && (i == 0 || pause >= h.cycles[0]):
			return false
		case others > 0 && 2*s.ran < s.all:
			return false
		}
	}
	return true
}

// pauseShare is how many expected windows a job ran in for each pause. A job that pauses more
// often has no habit, and misses nothing.
const pauseShare = 4

// missed are the windows in which a job was expected and did not run, and how many were
// expected in all.
type missed struct {
	numbers  hashkey.Numbers
	list     []hashkey.Number
	expected int
}

// missed finds the missed windows that begin at a time or later: those between two runs and,
// if due is set, those after the last run. Such a window is due a whole window after its end,
// as the latest run tells when one begins.
func (w *windows) missed(per hashkey.Per, now, since time.Time, due bool) missed {
	m := missed{numbers: hashkey.Numbers{Per: per}}
	length := lengthOf(per)
	if length == 0 || len(w.list) < pauseShare {
		return m
	}
	w.sort()
	last := w.list[len(w.list)-1]
	end := last.N + 1
	if more := int64(now.Sub(time.Unix(last.start, 0))/length) - 1; due && more > 0 && more <= maxWindows {
		end += more
	}
	begin, from, to := w.begin(m), m.at(since.Add(-1))+1, m.at(now)
	judged := w.list[slices.IndexFunc(w.list, func(one window) bool { return one.N >= begin }):]
	usual := habitOf(m.numbers, judged)
	runs, pauses := 0, 0
	for i, one := range judged {
		if usual.ranIn(one.Number) {
			runs++
			if one.N >= from {
				m.expected++
			}
		}
		next, counted := end, false
		if i+1 < len(judged) {
			next = judged[i+1].N
			counted = usual.counts(next - one.N - 1)
		}
		paused := false
		for n := one.N + 1; n < min(next, to); n++ { // a window may be of a time to come
			number := hashkey.Number{N: n, Offset: one.Offset}
			if !usual.expects(number, next-one.N-1, counted) {
				continue
			}
			paused = true
			if n >= from {
				m.list = append(m.list, number)
			}
		}
		if paused {
			pauses++
		}
	}
	if runs < pauseShare*pauses {
		m.list = nil
	}
	m.expected += len(m.list)
	return m
}

// at returns the number of the window at a time in UTC.
func (m missed) at(t time.Time) int64 {
	n, _ := m.numbers.Number(hashkey.Calendar{Per: m.numbers.Per, Zone: time.UTC}.Window(t))
	return n.N
}

// maxSpans is how many spans of missed windows are named.
const maxSpans = 4

// String says which windows were missed, such as "2 of 30 days: 2026-11-12 and 2026-11-13".
func (m missed) String() string {
	var spans []string
	rest := len(m.list)
	for rest > 0 && len(spans) < maxSpans { // from the latest one
		first := rest - 1
		for first > 0 && m.list[first-1].N == m.list[first].N-1 {
			first--
		}
		if rest-first == 2 {
			first++
		}
		text := m.numbers.Window(m.list[first])
		if rest-first > 1 {
			text += " to " + m.numbers.Window(m.list[rest-1])
		}
		spans, rest = append(spans, text), first
	}
	slices.Reverse(spans)
	if rest > 0 {
		spans = append([]string{fmt.Sprintf("%s earlier", grouped(rest))}, spans...)
	}
	if n := len(spans) - 1; n > 0 {
		spans[n-1] += " and " + spans[n]
		spans = spans[:n]
	}
	return fmt.Sprintf("%s of %s: %s", grouped(len(m.list)), m.unit(), strings.Join(spans, ", "))
}

func (m missed) preposition() string {
	if m.numbers.Per == hashkey.PerDay {
		return "on"
	}
	return "in"
}

func (m missed) unit() string {
	switch per := m.numbers.Per; per {
	case hashkey.PerHour, hashkey.PerDay, hashkey.PerWeek, hashkey.PerMonth, hashkey.PerQuarter, hashkey.PerYear:
		return plural(m.expected, string(per))
	default:
		return plural(m.expected, "window") + " of " + string(per)
	}
}
