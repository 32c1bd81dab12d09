package hashkey

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Per is the length of a window: one of Pers, or a length of less than a day such as
// 15m or 6h.
//
// A day is a whole number of such lengths. There is no Per of 60m, because its
// windows would be those of PerHour.
type Per string

// The window lengths that have a name.
const (
	PerHour    Per = "hour"
	PerDay     Per = "day"
	PerWeek    Per = "week"
	PerMonth   Per = "month"
	PerQuarter Per = "quarter"
	PerYear    Per = "year"
	PerBoot    Per = "boot" // from one start of the system to the next
)

// Pers are the names of window lengths, from short to long. The length of the last
// one is not known.
var Pers = []string{string(PerHour), string(PerDay), string(PerWeek), string(PerMonth), string(PerQuarter), string(PerYear), string(PerBoot)}

const (
	dayLength  = 24 * time.Hour
	weekLength = 7 * dayLength
	// longestUnnamed is the longest window of less than a day.
	longestUnnamed = dayLength / 2
)

// PerOfLength returns the window of length d: PerHour, PerDay, PerWeek, or a Per
// without a name. Two lengths have the same Per only if they are equal. It returns
// "" if there is no such window.
func PerOfLength(d time.Duration) Per {
	switch {
	case d == time.Hour:
		return PerHour
	case d == dayLength:
		return PerDay
	case d == weekLength:
		return PerWeek
	case d < time.Minute, d > longestUnnamed, d%time.Minute != 0, dayLength%d != 0:
		return ""
	case d%time.Hour == 0:
		return Per(strconv.Itoa(int(d/time.Hour)) + "h")
	}
	return Per(strconv.Itoa(int(d/time.Minute)) + "m")
}

// NearestPers returns the longest window that is shorter than d, and the shortest one
// that is longer. Either may not exist. It leaves out lengths such as 45m, whose
// windows do not begin at the same minutes of every hour.
func NearestPers(d time.Duration) []Per {
	var shorter, longer Per
	fits := func(per Per, length time.Duration) {
		switch {
		case length < d:
			shorter = per
		case length > d && longer == "":
			longer = per
		}
	}
	for length := time.Minute; length <= longestUnnamed; length += time.Minute {
		if per := PerOfLength(length); per != "" && (time.Hour%length == 0 || length%time.Hour == 0) {
			fits(per, length)
		}
	}
	for _, per := range []Per{PerDay, PerWeek, PerMonth, PerQuarter, PerYear} {
		fits(per, per.Longest()-setBack)
	}
	return slices.DeleteFunc([]Per{shorter, longer}, func(per Per) bool { return per == "" })
}

// length returns the length of a Per without a name, 0 for a Per with a name.
func (p Per) length() time.Duration {
	if slices.Contains(Pers, string(p)) {
		return 0
	}
	d, err := time.ParseDuration(string(p))
	if err != nil || PerOfLength(d) != p {
		return 0
	}
	return d
}

// Clock reports whether windows of p begin at times of the clock, at most a half day
// apart, so they do not depend on the start of the day.
func (p Per) Clock() bool { return p == PerHour || p.length() > 0 }

// setBack is the maximum time by which clocks are set back.
const setBack = 2 * time.Hour

// Longest returns the maximum duration of a window, including the hours by which
// clocks are set back.
func (p Per) Longest() time.Duration {
	switch p {
	case PerHour: // its window contains the UTC offset, so it does not repeat
		return time.Hour
	case PerDay:
		return dayLength + setBack
	case PerWeek:
		return weekLength + setBack
	case PerMonth:
		return 31*dayLength + setBack
	case PerQuarter:
		return 92*dayLength + setBack
	case PerYear:
		return 366*dayLength + setBack
	case PerBoot:
		return math.MaxInt64
	}
	d := p.length()
	if hasOffset(d) {
		return d
	}
	return d + setBack
}

// hasOffset reports whether windows of a length contain the UTC offset. Without it,
// the hour that occurs twice in autumn would have the same windows twice. A longer
// window contains both hours.
func hasOffset(length time.Duration) bool { return length < time.Hour }

// The forms of the start of a window without a name, as in ISO 8601.
const (
	startWithOffset = "2006-01-02T15:04-07:00"
	startOfClock    = "2006-01-02T15:04"
)

// clockWindow returns the window of t: the interval of ISO 8601 that begins at the
// last multiple of length on the clock of t.
func clockWindow(t time.Time, length time.Duration) string {
	layout := startOfClock
	if hasOffset(length) {
		layout = startWithOffset
	}
	// The start has the UTC offset of t, so a change of clocks does not move it.
	_, offset := t.Zone()
	t = t.In(time.FixedZone("", offset))
	return t.Add(-(clockTime(t) % length)).Format(layout) + "/" + isoDuration(length)
}

// clockTime returns the time since midnight that a clock shows, without the fraction
// of the second.
func clockTime(t time.Time) time.Duration {
	h, m, s := t.Clock()
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
}

// isoDuration returns a length as a duration of ISO 8601.
func isoDuration(length time.Duration) string {
	return "PT" + strings.ToUpper(string(PerOfLength(length)))
}

// clockPer returns the Per of a window that clockWindow can return, "" for another
// text.
func clockPer(s string) Per {
	start, duration, found := strings.Cut(s, "/PT")
	if !found {
		return ""
	}
	per := Per(strings.ToLower(duration))
	length := per.length()
	if length == 0 {
		return ""
	}
	for _, layout := range []string{startOfClock, startWithOffset} {
		if t, err := time.Parse(layout, start); err == nil && clockWindow(t, length) == s {
			return per
		}
	}
	return ""
}

// quarter returns the window of a day for PerQuarter.
func quarter(day time.Time) string {
	return fmt.Sprintf("%04d-Q%d", day.Year(), (int(day.Month())+2)/3)
}

func isQuarter(s string) bool {
	var year, q int
	n, _ := fmt.Sscanf(s, "%4d-Q%1d", &year, &q)
	return n == 2 && year >= 0 && q >= 1 && q <= 4 && s == fmt.Sprintf("%04d-Q%d", year, q)
}
