package hashkey

import (
	"fmt"
	"strings"
	"time"
)

// Numbers counts windows of one length: each has the number of the one before it plus 1.
type Numbers struct {
	Per Per // not PerBoot: its windows have no order
}

// Number is the number of a window, and the UTC offset in its text. The offset is 0 in a
// text without one.
type Number struct {
	N      int64
	Offset int32 // in seconds
}

// Number returns the number of a window. ok is false for a text that is not a window of this length.
func (c Numbers) Number(window string) (n Number, ok bool) {
	t, err := c.parse(window)
	if err != nil {
		return Number{}, false
	}
	_, offset := t.Zone()
	n.Offset = int32(offset)
	days := floor(t.Unix(), int64(dayLength/time.Second))
	months := int64(t.Year())*12 + int64(t.Month()) - 1
	switch c.Per {
	case PerDay:
		n.N = days
	case PerWeek:
		n.N = floor(days-firstMonday, 7)
	case PerMonth:
		n.N = months
	case PerQuarter:
		n.N = months / 3
	case PerYear:
		n.N = int64(t.Year())
	default:
		n.N = floor(t.Unix(), c.seconds())
	}
	return n, true
}

// firstMonday is the first Monday after 1970 began, in days.
const firstMonday = 4

// parse returns a time in a window. It is in UTC if the text has no offset.
func (c Numbers) parse(window string) (time.Time, error) {
	switch c.Per {
	case PerHour:
		return time.Parse(hourLayout, window)
	case PerDay:
		return time.Parse("2006-01-02", window)
	case PerMonth:
		return time.Parse("2006-01", window)
	case PerYear:
		return time.Parse("2006", window)
	case PerQuarter:
		var year, q int
		_, err := fmt.Sscanf(window, "%4d-Q%1d", &year, &q)
		return time.Date(year, time.Month(3*q-2), 1, 0, 0, 0, 0, time.UTC), err
	case PerWeek:
		var year, week int
		_, err := fmt.Sscanf(window, "%4d-W%2d", &year, &week)
		return time.Date(year, 1, 4+7*(week-1), 0, 0, 0, 0, time.UTC), err // January 4 is always in week 1
	}
	start, duration, _ := strings.Cut(window, "/PT")
	if c.Per.length() == 0 || Per(strings.ToLower(duration)) != c.Per {
		return time.Time{}, fmt.Errorf("not a window of %s", c.Per)
	}
	if hasOffset(c.Per.length()) {
		return time.Parse(startWithOffset, start)
	}
	return time.Parse(startOfClock, start)
}

// Start returns the time at which a window begins. It is in UTC for a window without an
// offset, as if the clock showed UTC.
func (c Numbers) Start(n Number) time.Time {
	switch c.Per {
	case PerDay:
		return time.Unix(n.N*int64(dayLength/time.Second), 0).UTC()
	case PerWeek:
		return time.Unix((7*n.N+firstMonday)*int64(dayLength/time.Second), 0).UTC()
	case PerMonth:
		return time.Date(0, time.Month(n.N+1), 1, 0, 0, 0, 0, time.UTC)
	case PerQuarter:
		return time.Date(0, time.Month(3*n.N+1), 1, 0, 0, 0, 0, time.UTC)
	case PerYear:
		return time.Date(int(n.N), 1, 1, 0, 0, 0, 0, time.UTC)
	}
	// A window of 45m can begin between two multiples of its length in UTC, because the clock
	// of its offset decides. It contains the second before the later one.
	t := time.Unix((n.N+1)*c.seconds()-1, 0).In(time.FixedZone("", int(n.Offset)))
	return t.Add(-(clockTime(t) % (time.Duration(c.seconds()) * time.Second)))
}

// Window returns the window of a number.
func (c Numbers) Window(n Number) string {
	t := c.Start(n)
	return Calendar{Per: c.Per, Zone: t.Location()}.Window(t)
}

// Cycles returns after how many windows a day and a week begin again, the shorter one first.
// It is 1 for windows of a week or more.
func (c Numbers) Cycles() []int64 {
	if c.Per == PerDay {
		return []int64{7}
	}
	if s := c.seconds(); s > 0 {
		day := int64(dayLength/time.Second) / s
		return []int64{day, 7 * day}
	}
	return []int64{1}
}

// Phase returns the place of a window in a cycle, on the clock of its offset.
func (c Numbers) Phase(n Number, cycle int64) int64 {
	if s := c.seconds(); s > 0 {
		n.N = floor((n.N+1)*s-1+int64(n.Offset), s)
	}
	return n.N - floor(n.N, cycle)*cycle
}

// seconds returns the length of windows that begin at times of the clock, 0 for other ones.
func (c Numbers) seconds() int64 {
	if c.Per == PerHour {
		return int64(time.Hour / time.Second)
	}
	return int64(c.Per.length() / time.Second)
}

// floor divides and rounds down.
func floor(a, b int64) int64 {
	if a < 0 {
		return (a - b + 1) / b
	}
	return a / b
}
