package hashkey

import (
	"errors"
	"fmt"
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
var windowLayouts = []string{"2006-01-02T15-07:00", "2006-01-02", "2006-01", "2006"}

// CheckWindow says whether s is what Window may return.
func CheckWindow(s string) error {
	var year, week int
	if n, _ := fmt.Sscanf(s, "%4d-W%2d", &year, &week); n == 2 && s == fmt.Sprintf("%04d-W%02d", year, week) && week >= 1 && week <= 53 {
		return nil
	}
	for _, layout := range windowLayouts {
		if _, err := time.Parse(layout, s); err == nil {
			return nil
		}
	}
	return errors.New("want a window such as 2026, 2026-11, 2026-W47, 2026-11-22 or 2026-11-22T14+01:00")
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
// a date with or without a time of day in zone.
func ParseAt(s string, zone *time.Location) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if digits, ok := strings.CutPrefix(s, "@"); ok {
		var n int64
		var rest string
		if c, _ := fmt.Sscanf(digits+" ", "%d%s", &n, &rest); c == 1 && digits == fmt.Sprint(n) {
			return time.Unix(n, 0), nil
		}
	}
	for _, layout := range atLayouts {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("want a time such as 2026-11-22T14:00:00+01:00, \"2026-11-22 14:00\" or @1795352400")
}
