package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"idem/runner"
)

// choice is the value of a flag that takes one word of a list.
type choice struct {
	value string
	of    []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return "CHOICE" }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return fmt.Errorf("want one of %s", strings.Join(c.of, ", "))
	}
	c.value = s
	return nil
}

func (c *choice) words() ([]string, bool) { return c.of, false }

// valueError says why a flag does not take a value, and how to write it.
type valueError struct{ why, hint string }

func (e *valueError) Error() string { return e.why }

// texts is the value of a flag that can be given several times. A StringArray of pflag
// makes the text of its default with a buffer of 4 KiB, in each call and for each flag.
type texts []string

func (t *texts) String() string { return strings.Join(*t, ",") }
func (t *texts) Type() string   { return "stringArray" } // completion offers such a flag again

func (t *texts) Set(s string) error {
	*t = append(*t, s)
	return nil
}

// size is the value of --max-output and --max-stdin.
type size struct {
	bytes int64 // negative: unlimited
	text  string
}

// defaultMaxOutput limits the recorded output of an attempt or a mark.
var defaultMaxOutput = size{bytes: 64 << 20, text: "64MiB"}

func (s *size) String() string { return s.text }
func (s *size) Type() string   { return "SIZE" }

func (s *size) Set(text string) error {
	if text == "unlimited" {
		*s = size{-1, text}
		return nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<62 {
		return errors.New("want a size such as 500KB or 10MiB, 0, or unlimited")
	}
	*s = size{int64(n), text}
	return nil
}

// parseDuration parses a duration such as 90s or 1h30m. A plain number counts
// seconds, as for timeout(1) and flock(1).
func parseDuration(s string) (time.Duration, error) {
	text := s
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		text = strconv.FormatFloat(n, 'f', -1, 64) + "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || roundsToZero(s, d) {
		return 0, errors.New("want a duration such as 30s, 5m or 1h30m")
	}
	return d, nil
}

// parseLongDuration is parseDuration with days and weeks, of 24 hours each.
func parseLongDuration(s string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			n, err := strconv.ParseFloat(number, 64)
			d := time.Duration(n * float64(unit))
			if err != nil || !(n >= 0 && n < float64(1<<63-1)/float64(unit)) || roundsToZero(s, d) {
				return 0, errors.New("want a duration such as 90m, 12h, 7d or 2w")
			}
			return d, nil
		}
	}
	return parseDuration(s)
}

// roundsToZero reports whether d, the value of s, is 0 only because s is less than a
// nanosecond. It must be an error, because 0 means "no limit" for some flags.
func roundsToZero(s string, d time.Duration) bool {
	return d == 0 && strings.ContainsAny(s, "123456789")
}

// wait is the value of --wait.
type wait struct {
	set      bool
	limit    time.Duration // 0: none
	fresh    bool          // see runner.Policy.Fresh
	detached bool          // given without a value
}

// The words that --wait takes.
const (
	waitForever = "forever"
	waitFresh   = "fresh" // alone or before a colon and a duration
)

func (w *wait) String() string { return "" }
func (w *wait) Type() string   { return "DURATION" }

func (w *wait) Set(s string) error {
	if s == waitForever {
		*w = wait{set: true, detached: true}
		return nil
	}
	limit, fresh := strings.CutPrefix(s, waitFresh)
	if fresh && limit == "" {
		*w = wait{set: true, fresh: true}
		return nil
	}
	limit, colon := strings.CutPrefix(limit, ":")
	d, err := parseDuration(limit)
	if err != nil || fresh != colon {
		return errors.New("want a duration such as 30s or 1h30m, fresh, or fresh:30s")
	}
	// With a wait of 0, the call does not wait.
	*w = wait{set: d > 0, limit: d, fresh: fresh}
	return nil
}

func (w *wait) words() ([]string, bool) { return []string{waitForever, waitFresh}, false }

// waitFlag returns the flag with which the call waits as long as it takes.
func waitFlag(fresh bool) string {
	if fresh {
		return "--wait=" + waitFresh
	}
	return "--wait"
}

// afterWait returns the command from args, the arguments after the flags. A value
// between --wait and "--" is that of --wait.
//
// Any other value directly after --wait has ended the flags, so further flags would
// count as arguments. It is refused, unless a program has that name. With asking, the
// first argument may also be a key.
func (a *app) afterWait(w *wait, args []string, asking bool) ([]string, error) {
	if !w.detached || len(args) == 0 {
		return args, nil
	}
	limit := *w
	if limit.Set(args[0]) != nil {
		return args, nil
	}
	if len(args) > 1 && args[1] == "--" {
		*w = limit
		return args[2:], nil
	}
	if asking && (len(args) == 1 || !strings.HasPrefix(args[1], "-")) || isCommand(args[0]) {
		return args, nil
	}
	return nil, usage("--wait takes its value after an equals sign").
		detail("%s is read as the command", quote(args[0])).
		hint("write --wait=%s", args[0])
}

// codes is the value of a flag that takes exit statuses.
type codes struct{ set runner.Codes }

func (c *codes) String() string { return c.set.String() }
func (c *codes) Type() string   { return "CODES" }

func (c *codes) Set(s string) error {
	set, err := runner.ParseCodes(s)
	c.set = set
	return err
}

// okCodes is the value of --ok: exit statuses that are a success, some of which idem
// exits with.
type okCodes struct {
	codes
	kept runner.Codes // a subset of set
	text string
}

func (c *okCodes) String() string { return c.text }

// Set parses CODES in which an item may end with =keep.
func (c *okCodes) Set(s string) error {
	parsed := okCodes{text: s}
	for item := range strings.SplitSeq(s, ",") {
		part, how, marked := strings.Cut(item, "=")
		set, err := runner.ParseCodes(part)
		switch {
		case marked && how != "keep":
			return errors.New("want =keep or nothing after an exit status, such as 0,2=keep")
		case err != nil:
			return err
		case marked:
			parsed.kept = append(parsed.kept, set...)
		}
		parsed.set = append(parsed.set, set...)
	}
	*c = parsed
	return nil
}

// duration is the value of a flag that takes a duration.
type duration struct{ time.Duration }

func (d *duration) Type() string { return "DURATION" }

func (d *duration) String() string {
	if d.Duration == 0 {
		return ""
	}
	s := d.Duration.String()
	if t, ok := strings.CutSuffix(s, "m0s"); ok { // 1m, not 1m0s
		s = t + "m"
	}
	return s
}

func (d *duration) Set(s string) (err error) {
	d.Duration, err = parseLongDuration(s)
	return err
}
