package cmd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
	_ "time/tzdata" // --tz must work where the system has no zones

	"github.com/spf13/pflag"

	"idem/hashkey"
)

// calendarFlags are the flags that select the window of a call.
type calendarFlags struct {
	per      perFlag
	zone     string
	at       string
	dayStart string
}

// addTo adds the flags. per is the text about --per.
func (o *calendarFlags) addTo(f *pflag.FlagSet, per string) {
	f.Var(&o.per, "per", per)
	f.StringVar(&o.zone, "tz", "", "use the calendar of time `ZONE`, such as Europe/Berlin or UTC (default: the local zone)")
	f.StringVar(&o.at, "at", "", "choose the window as if the call were made at `TIME`: RFC 3339, \"2026-11-22 14:00\" in the zone, or @SECONDS since 1970")
	f.StringVar(&o.dayStart, "day-start", "", "start windows of a day or longer at `HH:MM` instead of midnight")
}

// knownZone reports whether time.Local is the zone that TZ names. It is UTC if Go
// does not know the zone, such as the POSIX zone JST-9.
func knownZone(tz string) bool {
	name := strings.TrimPrefix(tz, ":")
	if filepath.IsAbs(name) {
		_, err := os.Stat(name)
		return err == nil
	}
	_, err := time.LoadLocation(name)
	return err == nil
}

// localFailure returns the failure of a call that needs the local zone, nil if it is known.
func localFailure() *failure {
	if tz := os.Getenv("TZ"); !knownZone(tz) {
		return usage("TZ has an unknown time zone, %s", quote(tz))
	}
	return nil
}

// parseWhen returns the time that the text of a flag means: a time in the local zone, or a
// duration back from now.
func parseWhen(flag, text string, now time.Time) (time.Time, error) {
	if d, err := parseLongDuration(text); err == nil && strings.ContainsAny(text, "smhdw") { // a plain number may be a year
		return now.Add(-d), nil
	}
	if f := localFailure(); f != nil {
		return time.Time{}, f.hint("set TZ to a name of the tz database, such as Europe/Berlin")
	}
	t, err := hashkey.ParseAt(text, time.Local)
	if err != nil {
		err = usage("--%s %s is not a time", flag, quote(text)).
			detail("want a duration back from now, such as 36h or 7d, or a time such as 2026-11-22, \"2026-11-22 14:00\" or @1795352400")
	}
	return t, err
}

// window returns the window of now or, if given, of --at. It returns "" without --per.
func (o *calendarFlags) window(now time.Time) (string, error) {
	c := hashkey.Calendar{Per: o.per.Per, Zone: time.Local}
	var err error
	if o.zone == "" && o.inCalendar() {
		if f := localFailure(); f != nil {
			return "", f.hintFlags("to use a name of the tz database", "--tz Europe/Berlin")
		}
	}
	if o.zone != "" {
		if c.Zone, err = time.LoadLocation(o.zone); err != nil {
			return "", usage("--tz: unknown time zone %s", quote(o.zone)).hint("use a name of the tz database, such as Europe/Berlin or UTC")
		}
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
	switch c.Per {
	case "":
		return "", nil
	case hashkey.PerBoot:
		return bootWindow()
	}
	return c.Window(now), nil
}

// inCalendar reports whether the call has a window of the calendar.
func (o *calendarFlags) inCalendar() bool { return o.per.Per != "" && o.per.Per != hashkey.PerBoot }

// windowFlags are the flags that limit how long an outcome counts: to a window, and a
// success to a time.
type windowFlags struct {
	calendarFlags
	ttl ttl
}

func (o *windowFlags) addTo(f *pflag.FlagSet) {
	o.calendarFlags.addTo(f, oncePer)
	f.Var(&o.ttl, "ttl", "run again `DURATION` after the last success started: 90m, 12h, 7d, 2w, or never (the default)")
}

// oncePer is the text about --per in commands about calls.
const oncePer = "run once per `WINDOW`, such as 15m, 6h, hour, day, week, month or boot"

// sameLength returns the value of --per with the same length as --ttl, "" if there is
// none. The user probably meant --per: a job with --ttl 24h that starts a second early
// does not run that day.
func (o *windowFlags) sameLength() hashkey.Per {
	if o.per.Per != "" {
		return ""
	}
	return hashkey.PerOfLength(o.ttl.limit)
}

// ttl is the value of --ttl.
type ttl struct {
	set   bool
	limit time.Duration // 0: never
}

func (t *ttl) String() string { return "" }
func (t *ttl) Type() string   { return "DURATION" }

func (t *ttl) words() ([]string, bool) { return []string{"never"}, false }

func (t *ttl) Set(s string) error {
	if s == "never" {
		*t = ttl{set: true}
		return nil
	}
	d, err := parseLongDuration(s)
	if err != nil || d == 0 {
		return errors.New("want a duration such as 90m, 12h, 7d or 2w, or never")
	}
	*t = ttl{set: true, limit: d}
	return nil
}
