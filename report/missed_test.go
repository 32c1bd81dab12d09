package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"idem/hashkey"
	"idem/ledger"
)

// every runs key k in the windows of a calendar from a time on, one attempt for each window
// that keep selects.
func every(h *history, c hashkey.Calendar, from, until time.Time, keep func(time.Time) bool) {
	last := ""
	for t := from; t.Before(until); t = t.Add(15 * time.Minute) {
		w := c.Window(t)
		if w != last && keep(t.In(c.Zone)) {
			h.run(ledger.ID{Key: "k", Window: w}, t, time.Minute, good)
		}
		last = w
	}
}

func always(time.Time) bool { return true }

// except leaves out days of November.
func except(days ...int) func(time.Time) bool {
	return func(t time.Time) bool { return t.Month() != time.November || !slices.Contains(days, t.Day()) }
}

func weekdays(t time.Time) bool { return t.Weekday() != time.Saturday && t.Weekday() != time.Sunday }

func both(a, b func(time.Time) bool) func(time.Time) bool {
	return func(t time.Time) bool { return a(t) && b(t) }
}

// whys returns why jobs did not run.
func whys(r *Report) (list []string) {
	for _, c := range r.Concerns {
		if c.State == retry {
			list = append(list, c.Why)
		}
	}
	return list
}

func TestMissedWindows(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	day := hashkey.Calendar{Per: hashkey.PerDay, Zone: berlin}
	hour := hashkey.Calendar{Per: hashkey.PerHour, Zone: berlin}
	november := time.Date(2026, 11, 1, 2, 0, 0, 0, berlin)
	of := func(days ...int) func(time.Time) bool {
		return func(t time.Time) bool { return slices.Contains(days, t.Day()) }
	}
	for name, c := range map[string]struct {
		calendar hashkey.Calendar
		from     time.Time
		keep     func(time.Time) bool
		want     string
	}{
		"all days":                {day, november, always, ""},
		"two nights":              {day, november, except(12, 13), "no run on 2 of 30 days: 2026-11-12 and 2026-11-13"},
		"two nights apart":        {day, november, except(5, 20), "no run on 2 of 30 days: 2026-11-05 and 2026-11-20"},
		"on the same weekday":     {day, november, except(5, 12), "no run on 2 of 30 days: 2026-11-05 and 2026-11-12"},
		"many nights":             {day, november.AddDate(0, -1, 0), except(2, 4, 5, 7, 8, 9, 12, 20), "no run on 8 of 30 days: 2 earlier, 2026-11-05, 2026-11-07 to 2026-11-09, 2026-11-12 and 2026-11-20"},
		"ten nights":              {day, november, except(10, 11, 12, 13, 14, 15, 16, 17, 18, 19), "no run on 10 of 30 days: 2026-11-10 to 2026-11-19"},
		"a clock change":          {day, time.Date(2026, 10, 20, 2, 30, 0, 0, berlin), always, ""},
		"since the last run":      {day, november, except(27, 28, 29, 30), "no run for 4 d 11 h; it missed 3 of 29 days: 2026-11-27 to 2026-11-29"},
		"last night":              {day, november, except(29, 30), "no run for 2 d 11 h; it missed 1 of 29 days: 2026-11-29"},
		"weekdays":                {day, november, weekdays, ""},
		"weekdays but two":        {day, november, both(weekdays, except(12, 13)), "no run on 2 of 21 days: 2026-11-12 and 2026-11-13"},
		"the first weekend":       {day, november.AddDate(0, 0, 18), weekdays, ""},
		"every other day":         {day, november, func(t time.Time) bool { return t.Day()%2 == 0 }, ""},
		"every fifth day":         {day, november.AddDate(0, -2, 0), func(t time.Time) bool { return t.YearDay()%5 == 4 }, ""},
		"by hand":                 {day, november.AddDate(0, -1, 0), of(1, 2, 3, 9, 10, 14, 20, 22, 23, 24, 29), ""},
		"once a week but one":     {day, november.AddDate(0, 0, -42), both(func(t time.Time) bool { return t.Weekday() == time.Sunday }, except(15)), "no run on 1 of 5 days: 2026-11-15"},
		"hours":                   {hour, november, always, ""},
		"hours of a week":         {hour, time.Date(2026, 10, 18, 0, 0, 0, 0, berlin), always, ""},
		"an hour":                 {hour, november.AddDate(0, 0, 20), func(t time.Time) bool { return t.Day() != 24 || t.Hour() != 3 }, "no run in 1 of 225 hours: 2026-11-24T03+01:00"},
		"working hours":           {hour, november.AddDate(0, -1, 0), both(weekdays, func(t time.Time) bool { return t.Hour() >= 9 && t.Hour() < 17 }), ""},
		"hours of the first week": {hour, november.AddDate(0, 0, 15), both(weekdays, func(t time.Time) bool { return t.Hour() >= 9 && t.Hour() < 17 }), ""},
		"a quarter of an hour":    {hashkey.Calendar{Per: "15m", Zone: berlin}, november.AddDate(0, 0, 26), func(t time.Time) bool { return t.Hour() != 3 || t.Minute() != 15 || t.Day() != 29 }, "no run in 1 of 323 windows of 15m: 2026-11-29T03:15+01:00/PT15M"},
		"six hours and a clock":   {hashkey.Calendar{Per: "6h", Zone: berlin}, time.Date(2026, 10, 24, 0, 0, 0, 0, berlin), except(9), "no run in 4 of 120 windows of 6h: 2026-11-09T00:00/PT6H to 2026-11-09T18:00/PT6H"},
		"a week":                  {hashkey.Calendar{Per: hashkey.PerWeek, Zone: berlin}, november.AddDate(0, 0, -60), except(9, 10, 11, 12, 13, 14, 15), "no run in 1 of 5 weeks: 2026-W46"},
	} {
		h := newHistory()
		every(h, c.calendar, c.from, made, c.keep)
		got := strings.Join(whys(collected(t, h.fixture, optionsOf())), "\n")
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: got another reason (-want +got):\n%s", name, diff)
		}
	}
}

func TestMissedMonth(t *testing.T) {
	h := newHistory()
	c := hashkey.Calendar{Per: hashkey.PerMonth, Zone: time.UTC}
	every(h, c, made.AddDate(-1, 0, 0), made, func(t time.Time) bool { return t.Month() != time.February })
	o := optionsOf()
	o.Since = made.AddDate(-1, 0, 0)
	if diff := cmp.Diff([]string{"no run in 1 of 12 months: 2026-02"}, whys(collected(t, h.fixture, o))); diff != "" {
		t.Errorf("got other reasons (-want +got):\n%s", diff)
	}
}

// A job that is no longer used is one concern, however many windows have passed.
func TestJobThatIsNoLongerUsedIsOneConcern(t *testing.T) {
	h := newHistory()
	every(h, hashkey.Calendar{Per: hashkey.PerHour, Zone: time.UTC}, made.AddDate(0, 0, -85), made.AddDate(0, 0, -60), always)
	o := optionsOf()
	for since, want := range map[int]int{90: 1, 30: 1} {
		o.Since = made.AddDate(0, 0, -since)
		if got := whys(collected(t, h.fixture, o)); len(got) != want || !strings.HasPrefix(got[0], "no run for 60 d; it missed 1,") && since == 90 {
			t.Errorf("since %d days: got %s, want %d entry", since, got, want)
		}
	}
}

// gc forgets windows that have succeeded or failed, and leaves interrupted ones. A late run of
// an old window stays too, because it ended late.
func TestForgottenWindowsAreNotMissed(t *testing.T) {
	h := newHistory()
	h.run(ledger.ID{Key: "k", Window: "2026-11-02"}, made.AddDate(0, 0, -28), 0, lost)
	h.run(ledger.ID{Key: "k", Window: "2026-11-05"}, made.AddDate(0, 0, -14), time.Minute, good)
	for day := 17; day <= 30; day++ {
		if day != 24 {
			h.run(ledger.ID{Key: "k", Window: fmt.Sprintf("2026-11-%d", day)}, made.AddDate(0, 0, day-30), time.Minute, good)
		}
	}
	if diff := cmp.Diff([]string{"no run on 1 of 14 days: 2026-11-24"}, whys(collected(t, h.fixture, optionsOf()))); diff != "" {
		t.Errorf("got other reasons (-want +got):\n%s", diff)
	}
}

// A late run and a mark settle a window. A window that is to run again has not run.
func TestSettledWindowsAreNotMissed(t *testing.T) {
	h := newHistory()
	every(h, hashkey.Calendar{Per: hashkey.PerDay, Zone: time.UTC}, made.AddDate(0, 0, -29), made, except(10, 11, 12))
	h.run(ledger.ID{Key: "k", Window: "2026-11-10"}, made, time.Minute, good)
	for window, state := range map[string]ledger.State{"2026-11-11": ledger.Succeeded, "2026-11-12": ledger.None} {
		rec := h.run(ledger.ID{Key: "k", Window: window}, made.AddDate(0, 0, -1), 0, good)
		e := &h.entries[len(h.entries)-1]
		e.Attempt.Number, e.Attempt.State, e.Attempt.Reason = 0, state, ledger.ReasonMarked
		rec.Current = e.Attempt
	}
	if diff := cmp.Diff([]string{"no run on 1 of 30 days: 2026-11-12"}, whys(collected(t, h.fixture, optionsOf()))); diff != "" {
		t.Errorf("got other reasons (-want +got):\n%s", diff)
	}
}

// A run in advance does not make the windows before it late.
func TestWindowsToComeAreNotMissed(t *testing.T) {
	h := newHistory()
	every(h, hashkey.Calendar{Per: hashkey.PerDay, Zone: time.UTC}, made.AddDate(0, 0, -29), made, always)
	h.run(ledger.ID{Key: "k", Window: "2026-12-09"}, made, time.Minute, good)
	if got := whys(collected(t, h.fixture, optionsOf())); got != nil {
		t.Errorf("got %s", got)
	}
}

func TestEntryOfAJobThatDidNotRun(t *testing.T) {
	h := newHistory()
	every(h, hashkey.Calendar{Per: hashkey.PerDay, Zone: time.UTC}, made.AddDate(0, 0, -29), made, except(12, 13))
	for i := range h.entries {
		e := &h.entries[i]
		e.ID.Key, e.Top.Key, e.Record.ID.Key = "k[*", "k[*", "k[*"
	}
	h.run(ledger.ID{Key: "failed"}, made.AddDate(0, 0, -20), time.Minute, bad)
	h.run(ledger.ID{Key: "lost"}, made.AddDate(0, 0, -19), time.Minute, lost)
	daily(h, "stopped", nil, 9, 8, 7, 6)
	r := collected(t, h.fixture, optionsOf())
	var got []string
	for _, c := range r.Concerns {
		got = append(got, c.Name)
	}
	if diff := cmp.Diff([]string{"lost", "failed", "stopped", "k[*"}, got); diff != "" {
		t.Fatalf("got another order (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Command{{"its runs around that time", "idem list --since 2026-11-11 k[[][*]"}}, r.Concerns[3].Commands); diff != "" {
		t.Errorf("got other commands (-want +got):\n%s", diff)
	}
	o := optionsOf()
	o.Until = made.AddDate(0, 0, -2)
	r = collected(t, h.fixture, o)
	if diff := cmp.Diff([]string{"no run on 2 of 28 days: 2026-11-12 and 2026-11-13"}, whys(r)); diff != "" {
		t.Errorf("until two days ago: got other reasons (-want +got):\n%s", diff)
	}
}
