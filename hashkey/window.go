package hashkey

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Calendar computes the window of a time.
type Calendar struct {
	Per  Per // not PerBoot: its windows are those of BootWindow
	Zone *time.Location
	// DayStart is the time of day at which a day begins. With 04:00, a run at 03:59
	// belongs to the previous day. Windows of less than a day ignore it.
	DayStart time.Duration
}

// Window returns the window of t. The forms, from short to long:
//
//	2026-11-22T14:15+01:00/PT15M (ISO 8601: the start and the length)
//	2026-11-22T14+01:00
//	2026-11-22T12:00/PT6H
//	2026-11-22
//	2026-W47 (ISO 8601)
//	2026-11
//	2026-Q4
//	2026
//
// The offset distinguishes the two hours with the same name in the autumn night in
// which clocks are set back. Windows of more than an hour have none. An hour that a
// change of clocks adds belongs to the window that contains its time of day.
func (c Calendar) Window(t time.Time) string {
	t = t.In(c.Zone)
	if c.Per == PerHour {
		return t.Format(hourLayout)
	}
	if length := c.Per.length(); length > 0 {
		return clockWindow(t, length)
	}
	// The local time decides, not the duration since midnight. So a day on which
	// clocks change begins at DayStart too.
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	if clockTime(t) < c.DayStart {
		day = day.AddDate(0, 0, -1)
	}
	switch c.Per {
	case PerWeek:
		year, week := day.ISOWeek()
		return fmt.Sprintf("%04d-W%02d", year, week)
	case PerMonth:
		return day.Format("2006-01")
	case PerQuarter:
		return quarter(day)
	case PerYear:
		return day.Format("2006")
	default:
		return day.Format("2006-01-02")
	}
}

// hourLayout is the form of windows of PerHour.
const hourLayout = "2006-01-02T15-07:00"

// bootPrefix begins the windows of PerBoot.
const bootPrefix = "boot:"

// BootWindow returns the window of a start of the system. The kernel identifies the
// start by id, a UUID in any case. It returns an error if id is not one, or is zero.
func BootWindow(id string) (string, error) {
	u, err := uuid.Parse(id)
	if err != nil || len(id) != len(u.String()) || u == uuid.Nil {
		return "", errors.New("not a UUID")
	}
	return bootPrefix + u.String(), nil
}

// CheckWindow returns an error if s is not a window that Window or BootWindow can
// return.
func CheckWindow(s string) error {
	if PerOf(s) == "" {
		return errors.New("want a window such as 2026-11-22, 2026-W47 or 2026-11-22T14:15+01:00/PT15M")
	}
	return nil
}

// PerOf returns the length of the window s, or "" if s is not a window that
// Window or BootWindow can return.
func PerOf(s string) Per {
	if id, ok := strings.CutPrefix(s, bootPrefix); ok {
		if w, err := BootWindow(id); err != nil || w != s {
			return ""
		}
		return PerBoot
	}
	if per := clockPer(s); per != "" {
		return per
	}
	if isQuarter(s) {
		return PerQuarter
	}
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
	for per, layout := range map[Per]string{PerHour: hourLayout, PerDay: "2006-01-02", PerMonth: "2006-01", PerYear: "2006"} {
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
