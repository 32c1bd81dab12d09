package cmd

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"idem/runner"
)

// gcOptions are the flags of idem gc.
type gcOptions struct {
	dryRun     bool
	outputs    retentionAge
	superseded retentionAge
	windows    retentionAge
	keys       retentionAge
	force      bool
	maxBytes   size
	vacuum     choice
	json       bool
}

const (
	defaultOutputsAge    = "90d"
	defaultSupersededAge = "7d"
)

func newGCOptions() *gcOptions {
	o := &gcOptions{vacuum: choice{value: "auto", of: []string{"auto", "full", "none"}}}
	_ = o.outputs.Set(defaultOutputsAge)
	_ = o.superseded.Set(defaultSupersededAge)
	return o
}

// retentionAge is the value of a flag that takes an age, or never.
type retentionAge struct {
	set  bool // not never
	d    time.Duration
	text string
}

func (a *retentionAge) String() string { return a.text }
func (a *retentionAge) Type() string   { return "AGE" }

// Set parses a duration with days, weeks and years of 365 days. There are no months.
func (a *retentionAge) Set(s string) error {
	if s == "never" {
		*a = retentionAge{text: s}
		return nil
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil && n != 0 {
		return errAge // elsewhere a plain number counts seconds, which may remove almost everything
	}
	days := s
	if number, ok := strings.CutSuffix(s, "y"); ok {
		n, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return errAge
		}
		days = strconv.FormatFloat(n*365, 'f', -1, 64) + "d"
	}
	d, err := parseLongDuration(days)
	if err != nil {
		return errAge
	}
	*a = retentionAge{true, d, s}
	return nil
}

var errAge = errors.New("want an age such as 36h, 90d, 8w or 2y, or never")

// before returns the limit of an age: the zero time for never.
func (a *retentionAge) before(now time.Time) time.Time {
	if !a.set {
		return time.Time{}
	}
	return now.Add(-a.d)
}

// retention checks the flags and the patterns, and returns what they keep.
func (o *gcOptions) retention(a *app, patterns []string) (runner.Retention, error) {
	now := a.now()
	r := runner.Retention{
		Namespace: a.namespace, Superseded: o.superseded.before(now), Outputs: o.outputs.before(now),
		Windows: o.windows.before(now), Keys: o.keys.before(now),
	}
	err := a.checkOnlyNamespace()
	if err != nil {
		return r, err
	}
	switch {
	case o.maxBytes.bytes == 0 && o.maxBytes.text != "":
		return r, usage("--max-bytes %s is no size", o.maxBytes.text).hint("to see what removing all outputs would free: idem gc -n --outputs-older-than 0")
	case o.keys.set && len(patterns) == 0:
		return r, usage("--keys-older-than requires a pattern").
			detail("the keys that it matches are forgotten, and the same calls would run again").
			hint("name the keys: idem gc -n --keys-older-than %s 'order:*'", o.keys.text)
	case !o.keys.set && len(patterns) > 0:
		return r, usage("a pattern requires --keys-older-than").
			detail("a pattern selects the keys to forget; outputs are removed by their age alone")
	case o.force && !o.keys.set:
		return r, usage("--force has an effect only with --keys-older-than")
	}
	if r.Patterns, err = parseGlobs("pattern", patterns); err != nil {
		return r, err
	}
	for _, p := range patterns {
		if strings.Trim(p, "*?") == "" && !o.force {
			return r, usage("the pattern %s matches all keys", quote(p)).
				detail("all that they did would be forgotten, and the same calls would run again").
				hintFlags("to forget them anyway", "--force")
		}
	}
	return r, nil
}
