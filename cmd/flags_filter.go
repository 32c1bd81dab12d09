package cmd

import (
	"errors"
	"time"

	"idem/ledger"
)

// checkOnlyNamespace checks the namespace of a command that reads all of them without one.
func (a *app) checkOnlyNamespace() error {
	if a.namespace == "" {
		return nil
	}
	return checkNamespace(a.namespace)
}

// parseSpan returns the times of --since and --until, the zero time for one that is not given.
func parseSpan(since, until string, now time.Time) (from, to time.Time, err error) {
	if since != "" {
		if from, err = parseWhen("since", since, now); err != nil {
			return from, to, err
		}
	}
	if until == "" {
		return from, to, nil
	}
	if to, err = parseWhen("until", until, now); err == nil && to.Before(from) {
		err = usage("--until is before --since").detail("--since is %s, --until is %s", stamp(from), stamp(to))
	}
	return from, to, err
}

// checkBegun refuses a --since in the future.
func checkBegun(since, now time.Time) error {
	if since.After(now) {
		return usage("--since is in the future").detail("it is %s", stamp(since))
	}
	return nil
}

// parseGlobs parses patterns. name is what the user gave them as: an argument is a pattern.
func parseGlobs(name string, patterns []string) (ledger.Globs, error) {
	var globs ledger.Globs
	for _, p := range patterns {
		if p == "" {
			if name == "pattern" {
				name = "a pattern"
			}
			return nil, usage("%s is empty: a variable may be unset", name)
		}
		glob, err := ledger.ParseGlob(p)
		switch {
		case errors.Is(err, ledger.ErrOpenSet):
			return nil, usage("%s %s: a [ is not closed", name, quote(p)).hint("to match the character itself, write [[]")
		case err != nil:
			return nil, usage("%s %v", name, err)
		}
		globs = append(globs, glob)
	}
	return globs, nil
}
