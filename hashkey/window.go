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

// The window lengths.
const (
	PerHour  Per = "hour"
	PerDay   Per = "day"
	PerWeek  Per = "week"
	PerMonth Per = "month"
	PerYear  Per = "year"
)

// Pers are all window lengths, from short to long.
var Pers = []string{string(PerHour), string(PerDay), string(PerWeek), string(PerMonth), string(PerYear)}

// Longest returns the maximum duration of a window, including the hours by which
// clocks are set back.
func (p Per) Longest() time.Duration {
	const day, setBack = 24 * time.Hour, 2 * time.Hour
	switch p {
	case PerHour: // its window contains the UTC offset, so it does not repeat
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

// Calendar computes the window of a time.
type Calendar struct {
	Per  Per
	Zone *time.Location
	// DayStart is the time of day at which a day begins. With 04:00, a run at 03:59
	// belongs to the previous day. PerHour ignores it.
	DayStart time.Duration
}

// Window returns the window of t. The forms, from hour to year:
//
//	2026-11-22T14+01:00
//	2026-11-22
//	2026-W47 (ISO 8601)
//	2026-11
//	2026
//
// The offset of an hour distinguishes the two hours with the same name in the
// autumn night in which clocks are set back.
func (c Calendar) Window(t time.Time) string {
	t = t.In(c.Zone)
	if c.Per == PerHour {
		return t.Format("2006-01-02T15-07:00")
	}
	// The local time decides, not the duration since midnight. So a day on which
	// clocks change begins at DayStart too.
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

// windowLayouts are the forms of all windows except weeks.
var windowLayouts = map[Per]string{PerHour: "2006-01-02T15-07:00", PerDay: "2006-01-02", PerMonth: "2006-01", PerYear: "2006"}

// CheckWindow returns an error if s is not a window that Window can return.
func CheckWindow(s string) error {
	if PerOf(s) == "" {
		return errors.New("want a window such as 2026, 2026-11, 2026-W47, 2026-11-22 or 2026-11-22T14+01:00")
	}
	return nil
}

// PerOf returns the length of the window s, or "" if s is not a window that
// Window can return.
func PerOf(s string) Per {
	// A text that parses as a time must also format as the same text. This rejects
	// 2025-W53, because 2025 had no week 53, and the offset -00:00.
	var year, week int
	if n, _ := fmt.Sscanf(s, "%4d-W%2d", &year, &week); n == 2 && year >= 0 {
		// January 4 is always in week 1.
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

// ParseDayStart parses a time of day, HH:MM.
func ParseDayStart(s string) (time.Duration, error) {
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, errors.New("want a time of day such as 04:00")
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// atLayouts are the forms of a scheduled time besides RFC 3339. They are parsed
// in the caller's zone.
var atLayouts = []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

// ParseAt parses a scheduled time. The forms are RFC 3339, @ and the seconds
// since 1970, and a date in zone with or without a time of day. The year must be
// from 1 to 9999, because windows have four digits. This also rejects
// milliseconds since 1970.
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
