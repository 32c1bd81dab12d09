package cmd

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"time"

	"idem/hashkey"
)

// starting returns what the runner calls before each attempt. It warns, once, of
// inputs that may not be what was meant, and adds the files that the attempt runs
// to the inputs that are stored. A replay pays nothing for it.
func (a *app) starting(o *identity, in hashkey.Inputs, argv []string, keep retention) func(path string) []byte {
	warned := false
	return func(path string) []byte {
		if !warned {
			warned = true
			a.warnInputs(o, in)
		}
		return keep.inputs(append(slices.Clone(in), programs(path, argv)...)).Encode()
	}
}

// warnInputs warns of what was asked for and is not there.
func (a *app) warnInputs(o *identity, in hashkey.Inputs) {
	missing := func(kind hashkey.Kind, name string) bool {
		return slices.ContainsFunc(in, func(p hashkey.Part) bool {
			return p.Kind == kind && p.Name == name && bytes.Equal(p.Value, hashkey.Absent())
		})
	}
	for _, path := range slices.Compact(slices.Sorted(slices.Values(o.hashFile))) {
		if !missing(hashkey.KindFile, path) || slices.Contains(o.optional, path) {
			continue
		}
		if hasMeta(path) {
			a.ui.warn("--hash-file %s matches no file", shellQuote(path))
		} else {
			a.ui.warn("--hash-file %s: no such file", shellQuote(path))
		}
		a.ui.hint(advice("if the file may be absent, use: --hash-file-optional %s", shellQuote(path)))
	}
	for _, text := range o.hashEnv {
		switch {
		case !missing(hashkey.KindEnv, text):
		case isNamePattern(text):
			a.ui.warn("--hash-env %s matches no variable", shellQuote(text))
		case a.ui.verbose: // a variable is often left unset on purpose
			a.ui.note("--hash-env %s: the variable is not set, and counts as missing", text)
		}
	}
	if o.unknownLocalZone() {
		a.ui.warn("--per %s uses UTC: TZ is not set and /etc/localtime cannot be read", o.per.value)
		a.ui.hint(flagAdvice("to set the time zone", "--tz Europe/Berlin"))
	}
}

// unknownLocalZone reports whether the windows of a call are those of UTC only
// because the system does not say where it is.
func (o *identity) unknownLocalZone() bool {
	// Local is the name of a zone that was read from /etc/localtime.
	if _, set := os.LookupEnv("TZ"); set || o.per.value == "" || o.zone != "" || time.Local.String() == "Local" {
		return false
	}
	// A container without the tz database says UTC by a link that leads nowhere.
	target, _ := os.Readlink("/etc/localtime")
	return !strings.HasSuffix(target, "/UTC")
}
