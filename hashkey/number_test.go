package hashkey

import (
	"testing"
	"time"
)

// TestNumbersOfWindowsThatFollowEachOther walks over changes of clocks and over years.
func TestNumbersOfWindowsThatFollowEachOther(t *testing.T) {
	for _, place := range []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"} {
		z := zone(t, place)
		for _, per := range []Per{"15m", "45m", PerHour, "90m", "2h", "6h", "12h", PerDay} {
			for _, day := range []time.Time{time.Date(2025, 10, 25, 0, 0, 0, 0, z), time.Date(2025, 11, 1, 0, 0, 0, 0, z), time.Date(2026, 3, 7, 0, 0, 0, 0, z), time.Date(2026, 3, 28, 0, 0, 0, 0, z)} {
				followEachOther(t, Calendar{Per: per, Zone: z}, day, 15*time.Minute, 300)
			}
		}
	}
	for _, per := range []Per{PerDay, PerWeek, PerMonth, PerQuarter, PerYear} {
		followEachOther(t, Calendar{Per: per, Zone: time.UTC}, time.Date(2019, 12, 1, 0, 0, 0, 0, time.UTC), dayLength, 2500)
	}
}

func followEachOther(t *testing.T, c Calendar, at time.Time, step time.Duration, steps int) {
	t.Helper()
	numbers := Numbers{Per: c.Per}
	last, _ := numbers.Number(c.Window(at))
	for range steps {
		window := c.Window(at)
		n, ok := numbers.Number(window)
		if back := last.N - n.N; !ok || back < -1 || back > 1 { // an hour that occurs twice goes back
			t.Fatalf("%s in %s: got %d, %v after %d", window, c.Zone, n.N, ok, last.N)
		}
		if got := numbers.Window(n); got != window {
			t.Fatalf("%s in %s: got the window %s of its number", window, c.Zone, got)
		}
		if c.Zone == time.UTC && n.N < last.N {
			t.Fatalf("%s: got %d after %d", window, n.N, last.N)
		}
		last, at = n, at.Add(step)
	}
}

func TestNumbersBefore1970(t *testing.T) {
	for per, windows := range map[Per][2]string{
		PerHour: {"1969-12-31T23+00:00", "1970-01-01T00+00:00"}, PerDay: {"1969-12-31", "1970-01-01"},
		PerWeek: {"1969-W01", "1969-W02"}, PerMonth: {"1969-12", "1970-01"}, PerQuarter: {"1969-Q4", "1970-Q1"}, PerYear: {"0000", "0001"},
	} {
		a, _ := Numbers{per}.Number(windows[0])
		b, ok := Numbers{per}.Number(windows[1])
		if !ok || b.N != a.N+1 {
			t.Errorf("got %d and %d of %s", a.N, b.N, windows)
		}
		if got := (Numbers{per}).Window(a); got != windows[0] {
			t.Errorf("got the window %s of the number of %s", got, windows[0])
		}
	}
}

func TestNumberOfAnotherLength(t *testing.T) {
	for per, window := range map[Per]string{PerDay: "2026-11", "15m": "2026-11-22T12:00/PT6H", PerBoot: "boot:x", "": "w"} {
		if n, ok := (Numbers{per}).Number(window); ok {
			t.Errorf("got the number %d of %s for the length %q", n.N, window, per)
		}
	}
}

// A job of working hours has the same phase before and after clocks change.
func TestPhases(t *testing.T) {
	for per, windows := range map[Per][2]string{
		PerDay:  {"2026-10-19", "2026-10-26"},
		PerHour: {"2026-10-19T09+02:00", "2026-10-26T09+01:00"},
		"15m":   {"2026-10-19T09:15+02:00/PT15M", "2026-10-26T09:15+01:00/PT15M"},
		"45m":   {"2026-10-19T09:00+02:00/PT45M", "2026-10-26T09:00+01:00/PT45M"},
		"6h":    {"2026-10-19T06:00/PT6H", "2026-10-26T06:00/PT6H"},
		PerWeek: {"2026-W43", "2026-W44"},
	} {
		c := Numbers{per}
		a, _ := c.Number(windows[0])
		b, _ := c.Number(windows[1])
		for _, cycle := range c.Cycles() {
			if x, y := c.Phase(a, cycle), c.Phase(b, cycle); x != y {
				t.Errorf("got the phases %d and %d in %d windows of %s", x, y, cycle, windows)
			}
		}
	}
}
