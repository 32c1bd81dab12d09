package cmd

import (
	"errors"
	"slices"
	"strings"

	"idem/runner"
)

// endNames are the ends of an attempt that --probe-on can name, in the order shown.
var endNames = []string{"interrupted", "timeout", "signal"}

// ends is the value of --probe-on: names of endNames, separated by commas.
type ends struct{ set runner.Ends }

func (e *ends) Type() string { return "LIST" }

func (e *ends) String() string {
	var names []string
	for i, name := range endNames {
		if e.set&(runner.EndInterrupted<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

func (e *ends) Set(s string) error {
	e.set = 0
	for name := range strings.SplitSeq(s, ",") {
		i := slices.Index(endNames, name)
		if i < 0 {
			return errors.New("want a list of " + strings.Join(endNames, ", ") + ", separated by commas")
		}
		e.set |= runner.EndInterrupted << i
	}
	return nil
}

func (e *ends) words() ([]string, bool) { return endNames, true }

// age is the value of --rerun-within: a duration that is not 0. 0 could mean "no limit"
// or "never again".
type age struct{ duration }

func (a *age) Type() string { return "AGE" }

func (a *age) Set(s string) error {
	err := a.duration.Set(s)
	if err == nil && a.Duration == 0 {
		err = errors.New("want a duration above 0, such as 23h; without the flag there is no limit")
	}
	return err
}
