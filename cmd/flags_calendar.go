package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"time"
	_ "time/tzdata" // --tz must work where the system has no zones

	"github.com/spf13/pflag"

	"idem/hashkey"
)

// calendarFlags are the flags that say which window of the calendar a call
// belongs to.
type calendarFlags struct {
	per      choice
	zone     string
	at       string
	dayStart string
}

func newCalendarFlags() calendarFlags { return calendarFlags{per: choice{of: hashkey.Pers}} }

// flags adds the flags; per begins the text about --per.
func (o *calendarFlags) flags(f *pflag.FlagSet, per string) {
	f.Var(&o.per, "per", per+": "+strings.Join(hashkey.Pers, ", "))
	f.StringVar(&o.zone, "tz", "", "use the calendar of time `ZONE`, such as Europe/Berlin or UTC (default: the local zone)")
	f.StringVar(&o.at, "at", "", "choose the window as if the call were made at `TIME`: RFC 3339, \"2026-11-22 14:00\" in the zone, or @SECONDS since 1970")
	f.StringVar(&o.dayStart, "day-start", "", "start windows of a day or longer at `HH:MM` instead of midnight")
}

// knownZone reports whether time.Local is what TZ says. Where Go knows no such
// zone, and it knows none of POSIX's, such as JST-9, it is UTC.
func knownZone(tz string) bool {
	name := strings.TrimPrefix(tz, ":")
	if filepath.IsAbs(name) {
		_, err := os.Stat(name)
		return err == nil
	}
	_, err := time.LoadLocation(name)
	return err == nil
}

// window returns the window of now, or of --at; it is empty without --per.
func (o *calendarFlags) window(now time.Time) (string, error) {
	c := hashkey.Calendar{Per: hashkey.Per(o.per.value), Zone: time.Local}
	var err error
	if o.zone != "" {
		if c.Zone, err = time.LoadLocation(o.zone); err != nil {
			return "", usage("--tz: unknown time zone %s", quote(o.zone)).hint("use a name of the tz database, such as Europe/Berlin or UTC")
		}
	}
	if tz := os.Getenv("TZ"); o.zone == "" && c.Per != "" && !knownZone(tz) {
		return "", usage("TZ has an unknown time zone, %s", quote(tz)).hintFlags("to use a name of the tz database", "--tz Europe/Berlin")
	}
	if o.dayStart != "" {
		if c.DayStart, err = hashkey.ParseDayStart(o.dayStart); err != nil {
			return "", usage("--day-start: %v", err)
		}
	}
	if o.at != "" {
		if now, err = hashkey.ParseAt(o.at, c.Zone); err != nil {
			return "", usage("--at: %v", err)
		}
	}
	if c.Per == "" {
		return "", nil
	}
	return c.Window(now), nil
}
