package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"idem/hashkey"
	"idem/internal/bootid"
)

// perFlag is the value of --per.
type perFlag struct{ hashkey.Per }

func (p *perFlag) String() string { return string(p.Per) }
func (p *perFlag) Type() string   { return "WINDOW" }

func (p *perFlag) Set(s string) error {
	if slices.Contains(hashkey.Pers, s) {
		p.Per = hashkey.Per(s)
		return nil
	}
	d, err := parseLongDuration(s)
	if err != nil || d == 0 || strings.Trim(s, "0123456789.") == "" { // a plain number: of seconds or of minutes?
		want := "want " + strings.Join(hashkey.Pers, ", ") + ", or a length such as 15m or 6h"
		if name := closest(strings.ToLower(s), hashkey.Pers); name != "" {
			return &valueError{want, "did you mean " + perWords(hashkey.Per(name)) + "?"}
		}
		return errors.New(want)
	}
	per := hashkey.PerOfLength(d)
	switch {
	case per == "":
		return &valueError{"want a whole number of minutes that divides a day evenly", "the nearest lengths: " + perWords(hashkey.NearestPers(d)...)}
	case slices.Contains(hashkey.Pers, string(per)):
		return &valueError{"windows of that length have a name", "write: " + perWords(per)}
	}
	p.Per = per
	return nil
}

func (p *perFlag) words() ([]string, bool) { return hashkey.Pers, false }

// perWords returns values of --per, each with the flag.
func perWords(values ...hashkey.Per) string {
	var words []string
	for _, per := range values {
		words = append(words, "--per "+string(per))
	}
	return strings.Join(words, ", ")
}

// bootWindow returns the window of --per boot.
func bootWindow() (string, error) {
	id, err := bootid.Read()
	if err != nil {
		return "", noBootID(err)
	}
	w, err := hashkey.BootWindow(id)
	if err != nil {
		return "", noBootID(fmt.Errorf("%s is %w", quote(id), err))
	}
	return w, nil
}

// noBootID returns the failure of --per boot without an id of the boot. It is bad
// usage, not a fault of the ledger, so --on-ledger-error run does not run the command.
func noBootID(err error) error {
	return usage("--per boot: the id of the boot can't be read").detail("%v", err).
		hint("for the windows of the calendar, write --per day in place of --per boot")
}

// hintPer prints hints after a call whose --ttl is as long as a window. Windows are
// separate records, so they say what else --per changes.
func (a *app) hintPer(o *runOptions) {
	per := o.sameLength()
	if per == "" {
		return
	}
	a.ui.hint(advice("with this --ttl, a job every %s may run only every second time: its success is then a moment too young", per))
	a.ui.hint(advice("%s in place of --ttl runs it once in each window, beginning with the next call; runs of two windows may overlap without --mutex", perWords(per)))
}
