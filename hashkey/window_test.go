package hashkey

import (
	"fmt"
	"testing"
	"time"
	_ "time/tzdata"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// calendarPers are the lengths that Window takes, with some that have no name.
var calendarPers = []Per{"1m", "15m", "20m", "45m", PerHour, "90m", "2h", "6h", "12h", PerDay, PerWeek, PerMonth, PerQuarter, PerYear}

// windows returns the windows from hour to year of a time, without the quarter.
func windows(t testing.TB, at string, z *time.Location, dayStart time.Duration) [5]string {
	t.Helper()
	tm, err := time.Parse(time.RFC3339, at)
	if err != nil {
		t.Fatal(err)
	}
	var w [5]string
	for i, per := range []Per{PerHour, PerDay, PerWeek, PerMonth, PerYear} {
		w[i] = Calendar{Per: per, Zone: z, DayStart: dayStart}.Window(tm)
	}
	return w
}

func TestWindows(t *testing.T) {
	const none, four = time.Duration(0), 4 * time.Hour
	for _, test := range []struct {
		name, zone string
		start      time.Duration
		at         string
		want       [5]string // hour, day, week, month, year
	}{
		{"an afternoon", "Europe/Berlin", none, "2026-11-22T14:30:00+01:00", [5]string{"2026-11-22T14+01:00", "2026-11-22", "2026-W47", "2026-11", "2026"}},
		{"the same, said in UTC", "Europe/Berlin", none, "2026-11-22T13:30:00Z", [5]string{"2026-11-22T14+01:00", "2026-11-22", "2026-W47", "2026-11", "2026"}},
		{"the same, in UTC", "UTC", none, "2026-11-22T14:30:00+01:00", [5]string{"2026-11-22T13+00:00", "2026-11-22", "2026-W47", "2026-11", "2026"}},

		{"before midnight", "Europe/Berlin", none, "2026-11-22T23:59:59+01:00", [5]string{"2026-11-22T23+01:00", "2026-11-22", "2026-W47", "2026-11", "2026"}},
		{"midnight", "Europe/Berlin", none, "2026-11-23T00:00:00+01:00", [5]string{"2026-11-23T00+01:00", "2026-11-23", "2026-W48", "2026-11", "2026"}},
		{"midnight there, evening here", "America/New_York", none, "2026-11-23T00:00:00+01:00", [5]string{"2026-11-22T18-05:00", "2026-11-22", "2026-W47", "2026-11", "2026"}},
		{"half an hour off", "Asia/Kolkata", none, "2026-11-22T20:00:00Z", [5]string{"2026-11-23T01+05:30", "2026-11-23", "2026-W48", "2026-11", "2026"}},

		{"autumn, 02:30 the first time", "Europe/Berlin", none, "2026-10-25T02:30:00+02:00", [5]string{"2026-10-25T02+02:00", "2026-10-25", "2026-W43", "2026-10", "2026"}},
		{"autumn, 02:30 the second time", "Europe/Berlin", none, "2026-10-25T02:30:00+01:00", [5]string{"2026-10-25T02+01:00", "2026-10-25", "2026-W43", "2026-10", "2026"}},
		{"autumn, before the 25 hours", "Europe/Berlin", none, "2026-10-24T23:59:59+02:00", [5]string{"2026-10-24T23+02:00", "2026-10-24", "2026-W43", "2026-10", "2026"}},
		{"autumn, the last of the 25 hours", "Europe/Berlin", none, "2026-10-25T23:59:59+01:00", [5]string{"2026-10-25T23+01:00", "2026-10-25", "2026-W43", "2026-10", "2026"}},
		{"spring, before the gap", "Europe/Berlin", none, "2026-03-29T01:59:59+01:00", [5]string{"2026-03-29T01+01:00", "2026-03-29", "2026-W13", "2026-03", "2026"}},
		{"spring, after the gap", "Europe/Berlin", none, "2026-03-29T02:00:00+01:00", [5]string{"2026-03-29T03+02:00", "2026-03-29", "2026-W13", "2026-03", "2026"}},
		{"spring, the last of the 23 hours", "Europe/Berlin", none, "2026-03-29T23:59:59+02:00", [5]string{"2026-03-29T23+02:00", "2026-03-29", "2026-W13", "2026-03", "2026"}},
		{"a day without a midnight", "America/Sao_Paulo", none, "2018-11-04T03:00:00Z", [5]string{"2018-11-04T01-02:00", "2018-11-04", "2018-W44", "2018-11", "2018"}},

		{"the week of the next year", "UTC", none, "2024-12-30T00:00:00Z", [5]string{"2024-12-30T00+00:00", "2024-12-30", "2025-W01", "2024-12", "2024"}},
		{"the day before it", "UTC", none, "2024-12-29T23:59:59Z", [5]string{"2024-12-29T23+00:00", "2024-12-29", "2024-W52", "2024-12", "2024"}},
		{"the week of the last year", "UTC", none, "2027-01-03T12:00:00Z", [5]string{"2027-01-03T12+00:00", "2027-01-03", "2026-W53", "2027-01", "2027"}},
		{"the week after it", "UTC", none, "2027-01-04T00:00:00Z", [5]string{"2027-01-04T00+00:00", "2027-01-04", "2027-W01", "2027-01", "2027"}},
		{"the year's last second", "UTC", none, "2026-12-31T23:59:59Z", [5]string{"2026-12-31T23+00:00", "2026-12-31", "2026-W53", "2026-12", "2026"}},
		{"the year's first", "UTC", none, "2027-01-01T00:00:00Z", [5]string{"2027-01-01T00+00:00", "2027-01-01", "2026-W53", "2027-01", "2027"}},
		{"the leap day", "UTC", none, "2028-02-29T12:00:00Z", [5]string{"2028-02-29T12+00:00", "2028-02-29", "2028-W09", "2028-02", "2028"}},
		{"no leap day", "UTC", none, "2026-02-28T23:59:59Z", [5]string{"2026-02-28T23+00:00", "2026-02-28", "2026-W09", "2026-02", "2026"}},
		{"after no leap day", "UTC", none, "2026-03-01T00:00:00Z", [5]string{"2026-03-01T00+00:00", "2026-03-01", "2026-W09", "2026-03", "2026"}},

		{"day start, before", "Europe/Berlin", four, "2026-11-23T03:59:59+01:00", [5]string{"2026-11-23T03+01:00", "2026-11-22", "2026-W47", "2026-11", "2026"}},
		{"day start", "Europe/Berlin", four, "2026-11-23T04:00:00+01:00", [5]string{"2026-11-23T04+01:00", "2026-11-23", "2026-W48", "2026-11", "2026"}},
		{"day start, midnight is none", "Europe/Berlin", four, "2026-11-22T23:59:59+01:00", [5]string{"2026-11-22T23+01:00", "2026-11-22", "2026-W47", "2026-11", "2026"}},
		{"day start, the month's and year's turn", "UTC", four, "2027-01-01T03:00:00Z", [5]string{"2027-01-01T03+00:00", "2026-12-31", "2026-W53", "2026-12", "2026"}},
		{"day start, after the leap day", "UTC", four, "2028-03-01T03:59:00Z", [5]string{"2028-03-01T03+00:00", "2028-02-29", "2028-W09", "2028-02", "2028"}},
		{"day start, in the ISO year", "UTC", four, "2024-12-30T03:59:00Z", [5]string{"2024-12-30T03+00:00", "2024-12-29", "2024-W52", "2024-12", "2024"}},
		{"day start, the night in autumn", "Europe/Berlin", four, "2026-10-25T03:59:59+01:00", [5]string{"2026-10-25T03+01:00", "2026-10-24", "2026-W43", "2026-10", "2026"}},
		{"day start, the morning after it", "Europe/Berlin", four, "2026-10-25T04:00:00+01:00", [5]string{"2026-10-25T04+01:00", "2026-10-25", "2026-W43", "2026-10", "2026"}},
		{"day start, the night in spring", "Europe/Berlin", four, "2026-03-29T03:59:59+02:00", [5]string{"2026-03-29T03+02:00", "2026-03-28", "2026-W13", "2026-03", "2026"}},
		{"day start, the morning after that", "Europe/Berlin", four, "2026-03-29T04:00:00+02:00", [5]string{"2026-03-29T04+02:00", "2026-03-29", "2026-W13", "2026-03", "2026"}},
		{"day start within the gap", "Europe/Berlin", 150 * time.Minute, "2026-03-29T03:00:00+02:00", [5]string{"2026-03-29T03+02:00", "2026-03-29", "2026-W13", "2026-03", "2026"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := windows(t, test.at, zone(t, test.zone), test.start); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestHoursOfTheDaysOfTheClockChanges checks every minute of both clock-change
// days. Each hour has its own window of 60 minutes, and the day window ends with
// the day.
func TestHoursOfTheDaysOfTheClockChanges(t *testing.T) {
	for day, hours := range map[string]int{"2026-03-29": 23, "2026-10-25": 25, "2026-11-22": 24} {
		z := zone(t, "Europe/Berlin")
		begin, err := time.ParseInLocation("2006-01-02", day, z)
		if err != nil {
			t.Fatal(err)
		}
		minutes := map[string]int{}
		for at := begin; ; at = at.Add(time.Minute) {
			if w := (Calendar{Per: PerDay, Zone: z}).Window(at); w != day {
				if got := at.Sub(begin); got != time.Duration(hours)*time.Hour {
					t.Errorf("%s is %v long and followed by %s", day, got, w)
				}
				break
			}
			minutes[Calendar{Per: PerHour, Zone: z}.Window(at)]++
		}
		if len(minutes) != hours {
			t.Errorf("%s has the hours %v", day, minutes)
		}
		for w, n := range minutes {
			if n != 60 {
				t.Errorf("%s has %d minutes", w, n)
			}
		}
	}
}

func TestParseDayStart(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"00:00": 0, "04:00": 4 * time.Hour, "4:00": 4 * time.Hour, "00:01": time.Minute, "23:59": 24*time.Hour - time.Minute,
	} {
		if got, err := ParseDayStart(text); err != nil || got != want {
			t.Errorf("%q: got %v, error %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "4", "04", "24:00", "04:60", "-1:00", "04:00:00", "4h", "04:00 ", " 04:00", "04.00", "4am", "٠٤:٠٠"} {
		if got, err := ParseDayStart(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestParseAt(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	for text, want := range map[string]string{
		"2026-11-22T14:00:00+01:00":      "2026-11-22T13:00:00Z",
		"2026-11-22T14:00:00Z":           "2026-11-22T14:00:00Z",
		"2026-11-22T14:00:00.25-05:00":   "2026-11-22T19:00:00.25Z",
		"2026-11-22T14:00:00":            "2026-11-22T13:00:00Z",
		"2026-11-22T14:00":               "2026-11-22T13:00:00Z",
		"2026-11-22 14:00:00":            "2026-11-22T13:00:00Z",
		"2026-11-22 14:00":               "2026-11-22T13:00:00Z",
		"2026-07-22 14:00":               "2026-07-22T12:00:00Z", // in summer
		"2026-11-22":                     "2026-11-21T23:00:00Z",
		"2028-02-29":                     "2028-02-28T23:00:00Z",
		"2026-10-25T02:30:00+02:00":      "2026-10-25T00:30:00Z", // the offset selects one of the two hours
		"2026-10-25T02:30:00+01:00":      "2026-10-25T01:30:00Z",
		"@0":                             "1970-01-01T00:00:00Z",
		"@1795352400":                    "2026-11-22T13:00:00Z",
		"@-1":                            "1969-12-31T23:59:59Z",
		"9999-12-31":                     "9999-12-30T23:00:00Z",
		"2026-11-22T14:00:00.123456789Z": "2026-11-22T14:00:00.123456789Z",
	} {
		got, err := ParseAt(text, berlin)
		if err != nil || got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%q: got %v, error %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "now", "tomorrow", "14:00", "2026", "2026-11", "2026-11-31", "2026-02-29", "2026-13-01", "2026-11-22 24:00", "2026-11-22 14:60",
		"2026-11-22T14:00:00+25:00", "22.11.2026", "11/22/2026", "1795352400", "@", "@ 1", "@1.5", "@1e9", "@+1", "@01", "@0x1", "@1 ", "@1x",
		"@99999999999999999999", "@1795352400000", "@253402297200", "@-62135600401", "0000-12-31", "9999-12-31T23:00:00Z", "@9223372036854775807", "@-9223372036854775808", " 2026-11-22", "2026-11-22 ", "2026-11-22\n", "2026-W47",
	} {
		if got, err := ParseAt(text, berlin); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

// FuzzParseAt checks that the windows of every parsed time are valid, and that the
// time formatted in full parses as the same time.
func FuzzParseAt(f *testing.F) {
	for _, text := range []string{"", "2026-11-22T14:00:00+01:00", "2026-11-22 14:00", "2026-11-22", "@1795352400", "@-1", "@9223372036854775807", "@253402297199", "@-62135600400", "2026-10-25 02:30", "0000-01-01", "9999-12-31"} {
		f.Add(text)
	}
	berlin := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, text string) {
		at, err := ParseAt(text, berlin)
		if err != nil {
			return
		}
		for _, per := range calendarPers {
			w := Calendar{Per: per, Zone: berlin, DayStart: 4 * time.Hour}.Window(at)
			if CheckKey(w, true) != nil || PerOf(w) != per {
				t.Fatalf("per %s: got %q", per, w)
			}
		}
		again, err := ParseAt(fmt.Sprintf("@%d", at.Unix()), berlin)
		if err != nil || again.Unix() != at.Unix() {
			t.Fatalf("%v parses as %v, error %v", at, again, err)
		}
		if full := at.Format(time.RFC3339Nano); at.Year() >= 0 && at.Year() <= 9999 {
			// Offsets of old local times have seconds, which RFC 3339 cannot express.
			if _, offset := at.Zone(); offset%60 == 0 {
				if again, err := ParseAt(full, berlin); err != nil || !again.Equal(at) {
					t.Fatalf("%s parses as %v, error %v", full, again, err)
				}
			}
		}
	})
}
