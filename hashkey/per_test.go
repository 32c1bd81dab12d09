package hashkey

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPerOfLength(t *testing.T) {
	for text, want := range map[string]Per{
		"1m": "1m", "15m": "15m", "30m": "30m", "900s": "15m", "45m": "45m", "90m": "90m", "1h30m": "90m", "120m": "2h", "2h": "2h", "6h": "6h", "12h": "12h",
		"60m": PerHour, "1h": PerHour, "24h": PerDay, "168h": PerWeek,
		"0s": "", "1s": "", "30s": "", "90s": "", "15m1s": "", "7m": "", "25m": "", "59m": "", "61m": "", "5h": "", "7h": "", "13h": "", "23h": "", "36h": "", "48h": "", "720h": "", "-15m": "",
	} {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := PerOfLength(d); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	// Every length is its own Per and fills days evenly.
	seen := map[Per]bool{}
	for d := time.Minute; d <= 12*time.Hour; d += time.Minute {
		per := PerOfLength(d)
		if (per != "") != (24*time.Hour%d == 0) || seen[per] && per != "" {
			t.Errorf("%v: got %q, want a separate Per for each length that divides a day", d, per)
		}
		if seen[per] = true; per != "" && per != PerHour && (per.length() != d || !per.Clock()) {
			t.Errorf("%s: got the length %v, want %v", per, per.length(), d)
		}
	}
	if n := len(seen) - 1; n != 35 { // the 36 divisors of 1440, without 1440
		t.Errorf("got %d lengths, want 35", n)
	}
}

func TestNearestPers(t *testing.T) {
	for text, want := range map[string]string{
		"1s": "1m", "90s": "1m 2m", "7m": "6m 10m", "25m": "20m 30m", "45m": "30m hour", "61m": "hour 2h", "5h": "4h 6h", "13h": "12h day",
		"36h": "day week", "336h": "week month", "720h": "week month", "1000h": "month quarter", "8760h": "quarter year", "9000h": "year",
	} {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, per := range NearestPers(d) {
			got = append(got, string(per))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestClockWindows(t *testing.T) {
	for _, test := range []struct {
		name, zone string
		per        Per
		at         string
		want       string
	}{
		{"the first second", "Europe/Berlin", "15m", "2026-11-22T14:15:00+01:00", "2026-11-22T14:15+01:00/PT15M"},
		{"the last", "Europe/Berlin", "15m", "2026-11-22T14:29:59.999999999+01:00", "2026-11-22T14:15+01:00/PT15M"},
		{"the next", "Europe/Berlin", "15m", "2026-11-22T14:30:00+01:00", "2026-11-22T14:30+01:00/PT15M"},
		{"said in UTC", "Europe/Berlin", "15m", "2026-11-22T13:29:00Z", "2026-11-22T14:15+01:00/PT15M"},
		{"in UTC", "UTC", "15m", "2026-11-22T14:29:00+01:00", "2026-11-22T13:15+00:00/PT15M"},
		{"the last of a day", "Europe/Berlin", "30m", "2026-11-22T23:59:59+01:00", "2026-11-22T23:30+01:00/PT30M"},
		{"across an hour", "UTC", "45m", "2026-11-22T01:10:00Z", "2026-11-22T00:45+00:00/PT45M"},
		{"hours", "Europe/Berlin", "6h", "2026-11-22T17:59:59+01:00", "2026-11-22T12:00/PT6H"},
		{"the next hours", "Europe/Berlin", "6h", "2026-11-22T18:00:00+01:00", "2026-11-22T18:00/PT6H"},
		{"half days", "America/New_York", "12h", "2026-11-22T23:59:00-05:00", "2026-11-22T12:00/PT12H"},
		{"an hour and a half", "UTC", "90m", "2026-11-22T04:29:00Z", "2026-11-22T03:00/PT90M"},

		{"offset :30", "Asia/Kolkata", "15m", "2026-11-22T14:29:00+05:30", "2026-11-22T14:15+05:30/PT15M"},
		{"offset :30, 20m", "Asia/Kolkata", "20m", "2026-11-22T14:39:00+05:30", "2026-11-22T14:20+05:30/PT20M"},
		{"offset :45", "Asia/Kathmandu", "30m", "2026-11-22T14:29:00+05:45", "2026-11-22T14:00+05:45/PT30M"},
		{"offset :45, 6h", "Asia/Kathmandu", "6h", "2026-11-21T18:15:00Z", "2026-11-22T00:00/PT6H"},
		{"a negative offset", "America/St_Johns", "20m", "2026-11-22T14:39:00-03:30", "2026-11-22T14:20-03:30/PT20M"},

		{"autumn, the first time", "Europe/Berlin", "15m", "2026-10-25T02:20:00+02:00", "2026-10-25T02:15+02:00/PT15M"},
		{"autumn, the second time", "Europe/Berlin", "15m", "2026-10-25T02:20:00+01:00", "2026-10-25T02:15+01:00/PT15M"},
		{"autumn, 6h, the first time", "Europe/Berlin", "6h", "2026-10-25T02:20:00+02:00", "2026-10-25T00:00/PT6H"},
		{"autumn, 6h, the second time", "Europe/Berlin", "6h", "2026-10-25T02:20:00+01:00", "2026-10-25T00:00/PT6H"},
		{"autumn, 45m, cut", "Europe/Berlin", "45m", "2026-10-25T02:10:00+01:00", "2026-10-25T01:30+01:00/PT45M"},
		{"spring, before the gap", "Europe/Berlin", "15m", "2026-03-29T01:59:59+01:00", "2026-03-29T01:45+01:00/PT15M"},
		{"spring, after the gap", "Europe/Berlin", "15m", "2026-03-29T03:00:00+02:00", "2026-03-29T03:00+02:00/PT15M"},
		{"spring, 2h, half of it", "Europe/Berlin", "2h", "2026-03-29T03:30:00+02:00", "2026-03-29T02:00/PT2H"},
		{"Lord Howe, before", "Australia/Lord_Howe", "15m", "2026-04-05T01:40:00+11:00", "2026-04-05T01:30+11:00/PT15M"},
		{"Lord Howe, 30 minutes back", "Australia/Lord_Howe", "15m", "2026-04-05T01:40:00+10:30", "2026-04-05T01:30+10:30/PT15M"},
		{"Lord Howe, 20m, cut", "Australia/Lord_Howe", "20m", "2026-04-05T01:35:00+10:30", "2026-04-05T01:20+10:30/PT20M"},
		{"Lord Howe, 30 minutes on", "Australia/Lord_Howe", "20m", "2026-10-04T02:30:00+11:00", "2026-10-04T02:20+11:00/PT20M"},
		{"a day without a midnight", "America/Sao_Paulo", "6h", "2018-11-04T03:00:00Z", "2018-11-04T00:00/PT6H"},
		{"a skipped day", "Pacific/Apia", "12h", "2011-12-30T10:00:00Z", "2011-12-31T00:00/PT12H"},
		{"minutes of local time", "Africa/Monrovia", "15m", "1970-01-01T12:00:00Z", "1970-01-01T11:15-00:44/PT15M"},
		{"the first year", "UTC", "6h", "0001-01-01T00:00:00Z", "0001-01-01T00:00/PT6H"},

		{"quarter 1", "UTC", PerQuarter, "2026-03-31T23:59:59Z", "2026-Q1"},
		{"quarter 2", "UTC", PerQuarter, "2026-04-01T00:00:00Z", "2026-Q2"},
		{"quarter 3", "UTC", PerQuarter, "2026-07-01T00:00:00Z", "2026-Q3"},
		{"quarter 4", "UTC", PerQuarter, "2026-12-31T23:59:59Z", "2026-Q4"},
		{"quarter, in the zone", "America/New_York", PerQuarter, "2027-01-01T04:59:59Z", "2026-Q4"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339Nano, test.at)
			if err != nil {
				t.Fatal(err)
			}
			got := Calendar{Per: test.per, Zone: zone(t, test.zone)}.Window(at)
			if got != test.want || PerOf(got) != test.per {
				t.Errorf("got %s (per %s), want %s", got, PerOf(got), test.want)
			}
		})
	}
}

// DayStart moves quarters, and leaves windows of the clock as they are.
func TestDayStartOfQuartersAndClocks(t *testing.T) {
	at := time.Date(2026, 10, 1, 3, 59, 0, 0, time.UTC)
	for per, want := range map[Per]string{PerQuarter: "2026-Q3", "15m": "2026-10-01T03:45+00:00/PT15M", "6h": "2026-10-01T00:00/PT6H"} {
		if got := (Calendar{Per: per, Zone: time.UTC, DayStart: 4 * time.Hour}).Window(at); got != want {
			t.Errorf("per %s: got %s, want %s", per, got, want)
		}
	}
}

// hardTimes are times around which zones change their clocks.
var hardTimes = map[string][]string{
	"UTC":                 {"2026-12-31T12:00:00Z"},
	"Europe/Berlin":       {"2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"},
	"America/New_York":    {"2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"},
	"Australia/Lord_Howe": {"2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"},
	"Asia/Kathmandu":      {"2026-11-22T00:00:00Z", "1985-12-31T18:30:00Z"},
	"Pacific/Chatham":     {"2026-04-04T14:00:00Z", "2026-09-26T14:00:00Z"},
	"America/Sao_Paulo":   {"2018-02-18T02:00:00Z", "2018-11-04T03:00:00Z"}, // at midnight
	"America/Havana":      {"2026-03-08T05:00:00Z", "2026-11-01T05:00:00Z"},
	"Antarctica/Troll":    {"2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"}, // by two hours
	"Africa/Casablanca":   {"2026-02-15T02:00:00Z", "2026-03-22T02:00:00Z"},
	"Pacific/Apia":        {"2011-12-30T10:00:00Z"},
}

// A window has one name, and a name is of one window. Every minute of the days around
// a change of clocks is checked with every length. A name gives its length back, so
// two lengths share no name. Windows of one length are no longer than Longest says.
func TestWindowsOfAllLengthsAreDistinct(t *testing.T) {
	pers := slices.Clone(calendarPers)
	for d := time.Minute; d <= 12*time.Hour; d += time.Minute {
		if per := PerOfLength(d); per != "" && !slices.Contains(pers, per) {
			pers = append(pers, per)
		}
	}
	for name, times := range hardTimes {
		z := zone(t, name)
		for _, text := range times {
			middle, err := time.Parse(time.RFC3339, text)
			if err != nil {
				t.Fatal(err)
			}
			for _, per := range pers {
				first := map[string]time.Time{}
				c := Calendar{Per: per, Zone: z}
				last := ""
				for at := middle.Add(-30 * time.Hour); at.Before(middle.Add(30 * time.Hour)); at = at.Add(time.Minute) {
					w := c.Window(at)
					if begin, seen := first[w]; !seen {
						first[w] = at
					} else if age := at.Sub(begin); age >= per.Longest() {
						t.Fatalf("%s, per %s: %s has times %v apart, want less than %v", name, per, w, age, per.Longest())
					}
					if w != last && PerOf(w) != per {
						t.Fatalf("%s: PerOf(%s) is %q, want %s", name, w, PerOf(w), per)
					}
					last = w
				}
			}
		}
	}
}

func TestBootWindow(t *testing.T) {
	const want = "boot:0b9c6f0e-52a8-4a6b-9a3d-0f4a7e6a1c11"
	for _, id := range []string{"0b9c6f0e-52a8-4a6b-9a3d-0f4a7e6a1c11", "0B9C6F0E-52A8-4A6B-9A3D-0F4A7E6A1C11"} {
		if got, err := BootWindow(id); err != nil || got != want || PerOf(got) != PerBoot {
			t.Errorf("%s: got %s, error %v, want %s", id, got, err, want)
		}
	}
	for _, id := range []string{
		"", "boot", "00000000-0000-0000-0000-000000000000", "0b9c6f0e52a84a6b9a3d0f4a7e6a1c11", "{0b9c6f0e-52a8-4a6b-9a3d-0f4a7e6a1c11}",
		"urn:uuid:0b9c6f0e-52a8-4a6b-9a3d-0f4a7e6a1c11", "0b9c6f0e-52a8-4a6b-9a3d-0f4a7e6a1c1", "0b9c6f0e-52a8-4a6b-9a3d-0f4a7e6a1c11\n", " 0b9c6f0e-52a8-4a6b-9a3d-0f4a7e6a1c11", "gb9c6f0e-52a8-4a6b-9a3d-0f4a7e6a1c11",
	} {
		if got, err := BootWindow(id); err == nil {
			t.Errorf("%q: got %s, want an error", id, got)
		}
	}
	if got := PerBoot.Longest(); got != math.MaxInt64 {
		t.Errorf("Longest of a boot: got %v, want no limit", got)
	}
}

// CheckWindow accepts the results of Window and rejects other texts.
func TestPerOf(t *testing.T) {
	for _, per := range calendarPers {
		for _, at := range []time.Time{
			time.Date(2026, 11, 22, 14, 30, 0, 0, zone(t, "Europe/Berlin")), time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC),
			time.Date(2020, 12, 31, 23, 59, 0, 0, time.FixedZone("", -9000)), time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		} {
			w := Calendar{Per: per, Zone: at.Location()}.Window(at)
			if got := PerOf(w); got != per || CheckWindow(w) != nil {
				t.Errorf("PerOf(%q) is %q, want %q", w, got, per)
			}
		}
	}
	for _, w := range []string{
		"", "yesterday", "26", "2026-1", "2026-13", "2026-11-31", "2026-11-2", "2026-W5", "2026-W00", "2026-W54", "2026-W471", "2025-W53", "-010-W01",
		"2026-11-22T14", "2026-11-22T14:00+01:00", "2026-11-22T14-00:00", "2026-11-22T14+24:60", "2026-11-22 ", " 2026", "2026-W47\n",
		"2026-Q0", "2026-Q5", "2026-Q12", "2026-Q", "2026-q4", "26-Q4", "-026-Q4", "2026-Q4 ", "2026Q4",
		// a start between two windows, a wrong offset, another duration, another spelling
		"2026-11-22T14:10+01:00/PT15M", "2026-11-22T14:15/PT15M", "2026-11-22T12:00+01:00/PT6H", "2026-11-22T14:00/PT6H", "2026-11-22T14:15-00:00/PT15M",
		"2026-11-22T14:00+01:00/PT1H", "2026-11-22T14:00+01:00/PT60M", "2026-11-22T14:00/PT120M", "2026-11-22T12:00/PT360M", "2026-11-22T00:00/PT24H", "2026-11-22T00:00/P1D",
		"2026-11-22T14:00+01:00/PT7M", "2026-11-22T14:15+01:00/PT15m", "2026-11-22T14:15+01:00/pt15M", "2026-11-22T14:15+01:00/PT015M", "2026-11-22T14:15+01:00/PT15.0M",
		"2026-11-22T14:15:00+01:00/PT15M", "2026-11-22T14:15+01/PT15M", "2026-11-22T14:15Z/PT15M", "2026-11-22T14:15+01:00/PT15M/PT15M", "/PT15M", "PT15M", "15m", "2026-11-22T14:15+01:00/PThour", "2026-11-22T14:15+01:00/PT",
		"boot:", "boot", "boot:0B9C6F0E-52A8-4A6B-9A3D-0F4A7E6A1C11", "boot:00000000-0000-0000-0000-000000000000", "boot:2026", "Boot:0b9c6f0e-52a8-4a6b-9a3d-0f4a7e6a1c11",
	} {
		if got := PerOf(w); got != "" || CheckWindow(w) == nil {
			t.Errorf("PerOf(%q) is %q, want none", w, got)
		}
	}
}

// FuzzPerOf checks that an accepted window is printable, and that its length is one
// that --per takes.
func FuzzPerOf(f *testing.F) {
	for _, s := range []string{"2026-11-22T14:15+01:00/PT15M", "2026-11-22T12:00/PT6H", "2026-11-22T14+01:00", "2026-11-22", "2026-W47", "2026-11", "2026-Q4", "2026", "boot:0b9c6f0e-52a8-4a6b-9a3d-0f4a7e6a1c11"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		per := PerOf(s)
		if per == "" {
			return
		}
		if length := per.length(); length != 0 && PerOfLength(length) != per || length == 0 && !slices.Contains(Pers, string(per)) {
			t.Fatalf("%q: got per %q, want one that --per takes", s, per)
		}
		if len(s) > 41 || CheckKey(s, true) != nil {
			t.Fatalf("got %q, want a short text", s)
		}
	})
}
