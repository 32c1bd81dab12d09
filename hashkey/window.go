package hashkey

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Per is the length of a calendar window.
type Per string

// The windows.
const (
	PerHour  Per = "hour"
	PerDay   Per = "day"
	PerWeek  Per = "week"
	PerMonth Per = "month"
	PerYear  Per = "year"
)

// Pers are all windows, from short to long.
var Pers = []string{string(PerHour), string(PerDay), string(PerWeek), string(PerMonth), string(PerYear)}

// Longest returns how long a window may last: with the hours that clocks are set
// back in it.
func (p Per) Longest() time.Duration {
	const day, setBack = 24 * time.Hour, 2 * time.Hour
	switch p {
	case PerHour: // each offset has hours of its own
		return time.Hour
	case PerDay:
		return day + setBack
	case PerWeek:
		return 7*day + setBack
	case PerMonth:
		return 31*day + setBack
	}
	return 366*day + setBack
}

// Calendar turns a time into the window that it belongs to.
type Calendar struct {
	Per  Per
	Zone *time.Location
	// DayStart is the time of day at which a day begins, for all windows but
	// PerHour: 04:00 makes a run at 03:59 one of the day before.
	DayStart time.Duration
}

// Window returns the window of t: 2026-11-22T14+01:00 for hours, where the
// offset tells the two hours of one name apart that a night in autumn has;
// 2026-11-22; 2026-W47 (ISO 8601); 2026-11; 2026.
func (c Calendar) Window(t time.Time) string {
	t = t.In(c.Zone)
	if c.Per == PerHour {
		return t.Format("2006-01-02T15-07:00")
	}
	// The clock on the wall decides, so that the day on which the clocks change
	// begins at DayStart as well.
	clock := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	if clock < c.DayStart {
		day = day.AddDate(0, 0, -1)
	}
	switch c.Per {
	case PerWeek:
		year, week := day.ISOWeek()
		return fmt.Sprintf("%04d-W%02d", year, week)
	case PerMonth:
		return day.Format("2006-01")
	case PerYear:
		return day.Format("2006")
	default:
		return day.Format("2006-01-02")
	}
}

// windowLayouts are the forms of a window, but for the week's.
var windowLayouts = map[Per]string{PerHour: "2006-01-02T15-07:00", PerDay: "2006-01-02", PerMonth: "2006-01", PerYear: "2006"}

// CheckWindow returns why s is nothing that Window may return, or nil.
func CheckWindow(s string) error {
	if PerOf(s) == "" {
		return errors.New("want a window such as 2026, 2026-11, 2026-W47, 2026-11-22 or 2026-11-22T14+01:00")
	}
	return nil
}

// PerOf returns the length of a window that Window may return, and "" for any
// other text.
func PerOf(s string) Per {
	// What reads as a time has to be written like it: 2025 had no week 53, and
	// no offset is -00:00.
	var year, week int
	if n, _ := fmt.Sscanf(s, "%4d-W%2d", &year, &week); n == 2 && year >= 0 {
		// The fourth of January is always in week 1.
		y, w := time.Date(year, 1, 4+7*(week-1), 0, 0, 0, 0, time.UTC).ISOWeek()
		if s == fmt.Sprintf("%04d-W%02d", y, w) {
			return PerWeek
		}
	}
	for per, layout := range windowLayouts {
		if t, err := time.Parse(layout, s); err == nil && t.Format(layout) == s {
			return per
		}
	}
	return ""
}

// ParseDayStart reads a time of day, HH:MM.
func ParseDayStart(s string) (time.Duration, error) {
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, errors.New("want a time of day such as 04:00")
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// atLayouts are the forms of a scheduled time beside RFC 3339, read in the
// caller's zone.
var atLayouts = []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

// ParseAt reads a scheduled time: RFC 3339, seconds since 1970 behind an @, or
// a date with or without a time of day in zone. Its year is from 1 to 9999, as
// windows have four digits; milliseconds since 1970 are refused by that.
func ParseAt(s string, zone *time.Location) (time.Time, error) {
	t, ok := parseAt(s, zone)
	if year := t.In(zone).Year(); !ok || year < 1 || year > 9999 {
		return time.Time{}, errors.New("want a time such as 2026-11-22T14:00:00+01:00, \"2026-11-22 14:00\" or @1795352400")
	}
	return t, nil
}

func parseAt(s string, zone *time.Location) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, true
	}
	if digits, ok := strings.CutPrefix(s, "@"); ok {
		n, err := strconv.ParseInt(digits, 10, 64)
		return time.Unix(n, 0), err == nil && digits == strconv.FormatInt(n, 10)
	}
	for _, layout := range atLayouts {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
