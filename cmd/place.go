package cmd

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"unicode"

	"idem/ledger"
	"idem/ledger/drivers"
)

// placeHelp is the text of the help about the default place of the ledger.
const placeHelp = "$STATE_DIRECTORY/idem under systemd, else /var/lib/idem for root, else $XDG_STATE_HOME/idem (~/.local/state/idem)"

// The text before the path of the ledger, in a hint that can be pasted.
const (
	flagName = "--ledger "
	varName  = "IDEM_LEDGER="
)

// placeRule is the flag, the variable or the rule that chooses the place of the ledger.
type placeRule string

const (
	byFlag     placeRule = "--ledger"
	byVar      placeRule = "IDEM_LEDGER"
	byState    placeRule = "STATE_DIRECTORY"
	byRoot     placeRule = "root" // the usual place of this user
	byXDG      placeRule = "XDG_STATE_HOME"
	byHome     placeRule = "HOME"
	byArgument placeRule = "argument" // of idem ledger
)

// placeOf returns the absolute directory of the ledger, or its URL, which may have a
// password. It is the value of --ledger or, without it, of IDEM_LEDGER. The default belongs to this user alone and survives a
// reboot, so it is never the current directory or below /tmp. The file system is read
// only for a path with unusual characters.
func placeOf(flag string, getenv func(string) string) (string, error) {
	place, _, err := choosePlace(flag, getenv)
	return place, err
}

// choosePlace is placeOf. It also returns what has chosen the place.
func choosePlace(flag string, getenv func(string) string) (place string, by placeRule, err error) {
	if drivers.IsShared(flag) {
		place, err = sharedPlace(flag, getenv("IDEM_LEDGER"))
		return place, byFlag, err
	}
	if flag != "" {
		if err := checkPath(flagName, flag, getenv); err != nil {
			return "", byFlag, err
		}
		place, err = filepath.Abs(flag)
		return place, byFlag, err
	}
	if env := getenv("IDEM_LEDGER"); drivers.IsShared(env) {
		return env, byVar, nil
	} else if env != "" {
		if err := checkPath(varName, env, getenv); err != nil {
			return "", byVar, err
		}
		if !filepath.IsAbs(env) {
			f := usage("IDEM_LEDGER is a relative path, %s", quote(env)).
				detail("each working directory would have its own ledger")
			if path, err := filepath.Abs(env); err == nil {
				f.hint("%s", varName+shellQuote(path))
			}
			return "", byVar, f
		}
		return filepath.Clean(env), byVar, nil
	}
	if state := getenv("STATE_DIRECTORY"); state != "" {
		first, _, several := strings.Cut(state, ":") // systemd gives a list for several StateDirectory= entries
		switch {
		case several:
			f := usage("STATE_DIRECTORY has several directories, %s", quote(state)).
				detail("the ledger would depend on their order")
			if !filepath.IsAbs(first) {
				return "", byState, f.hint("name one with --ledger DIR or IDEM_LEDGER")
			}
			return "", byState, f.hint("%s", varName+shellQuote(filepath.Join(first, "idem")))
		case !filepath.IsAbs(state):
			return "", byState, usage("STATE_DIRECTORY is a relative path, %s", quote(state)).detail("systemd sets absolute paths only").hint("unset STATE_DIRECTORY")
		}
		return filepath.Join(state, "idem"), byState, nil
	}
	if os.Geteuid() == 0 {
		return rootPlace, byRoot, nil
	}
	// The XDG base directories without their library, which costs every replay
	// 0.05 ms. The specification says to ignore a relative XDG_STATE_HOME.
	if state := getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "idem"), byXDG, nil
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "idem"), byHome, nil
	}
	return "", byHome, fail(exitLedger, "no place for the ledger: neither HOME nor XDG_STATE_HOME is an absolute path").
		hint("choose one with --ledger DIR or IDEM_LEDGER")
}

// looksLikeURL reports whether a path begins like a URL.
func looksLikeURL(path string) bool {
	scheme, _, ok := strings.Cut(path, "://")
	return ok && scheme != "" && strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-") == ""
}

// unexpanded reports whether a shell would expand a variable or a command in a
// path.
func unexpanded(path string) bool {
	for _, behind := range strings.Split(path, "$")[1:] {
		if behind != "" && (strings.ContainsRune("_{(", rune(behind[0])) || unicode.IsLetter(rune(behind[0]))) {
			return true
		}
	}
	return false
}

// checkPath refuses a path that a shell would have changed. In a crontab, a unit or
// an env file, nothing expands ~ and $HOME, and quotes are a part of the path. name
// is flagName or varName.
func checkPath(name, path string, getenv func(string) string) error {
	source := strings.TrimRight(name, " =")
	if f := wrongScheme(source, path); f != nil {
		return f
	}
	var fault string
	switch {
	case looksLikeURL(path):
		f := usage("%s is a URL, %s", source, quoteWord(path)).detail("this idem has no ledger at a URL")
		if file, ok := strings.CutPrefix(path, "file://"); ok && filepath.IsAbs(file) {
			return f.hint("%s", name+shellQuote(file))
		}
		return f.hint("name a directory with --ledger DIR or IDEM_LEDGER")
	case path[0] == '~':
		fault = "only a shell expands ~, and only outside of quotes"
	case path[0] == '$':
		fault = "only a shell expands variables"
	case path[0] == '"' || path[0] == '\'':
		fault = "the quotes are part of the path"
	case name == flagName || !oddPath(path):
		return nil
	case unexpanded(path):
		fault = "only a shell expands variables"
	default:
		fault = "the path ends with quotes, white space or control characters"
	}
	f := usage("%s is %s, taken literally", source, quote(path)).detail("%s", fault)
	if meant := expandPath(path, getenv); filepath.IsAbs(meant) && !oddPath(meant) {
		f.hint("%s", name+shellQuote(meant))
	} else {
		f.hint("name a directory by its absolute path")
	}
	if name == flagName && !filepath.IsAbs(path) {
		f.hint("if the directory has exactly this name: %s", name+shellQuote("./"+path))
	}
	return f
}

// oddPath reports whether a path has characters that are usually a mistake, and no
// file has that path.
func oddPath(path string) bool {
	end := strings.TrimRightFunc(path, func(r rune) bool { return r == '"' || r == '\'' || unicode.IsSpace(r) || unicode.IsControl(r) })
	if end == path && !unexpanded(path) {
		return false
	}
	_, err := os.Lstat(path)
	return err != nil
}

// expandPath returns a path as a shell would have expanded it, "" if it has an unknown
// user or an unset variable.
func expandPath(path string, getenv func(string) string) string {
	path = strings.TrimFunc(path, func(r rune) bool { return r == '"' || r == '\'' || unicode.IsSpace(r) || unicode.IsControl(r) })
	if rest, ok := strings.CutPrefix(path, "~"); ok {
		name, below, _ := strings.Cut(rest, "/")
		home := getenv("HOME")
		if name != "" {
			u, err := user.Lookup(name)
			if err != nil {
				return ""
			}
			home = u.HomeDir
		}
		return filepath.Join(home, below)
	}
	unknown := false
	path = os.Expand(path, func(name string) string {
		value := getenv(name)
		unknown = unknown || value == ""
		return value
	})
	if unknown {
		return ""
	}
	return path
}

// trustVar is the environment variable for --trust-place.
const trustVar = "IDEM_TRUST_PLACE"

// inShared reports whether the ledger of the call is a shared one.
func (a *app) inShared() bool {
	place, err := placeOf(a.ledger, os.Getenv)
	return err == nil && drivers.IsShared(place)
}

// openLedger opens the ledger of a call that runs no command.
func (a *app) openLedger() (ledger.Store, error) { return a.openLedgerFor(nil) }

// openLedgerFor opens the ledger of a call with the flags of idem run. They are nil for
// another call.
func (a *app) openLedgerFor(o *runOptions) (ledger.Store, error) {
	if env := os.Getenv(trustVar); env != "" && env != "0" && env != "1" {
		return nil, usage("%s is %s, which is neither 1 nor 0", trustVar, quote(env))
	}
	// The command, hooks and probes get IDEM_LEDGER. Without this variable, they could
	// not use a ledger that --trust-place accepts.
	if a.trustPlace {
		_ = os.Setenv(trustVar, "1")
	} else {
		_ = os.Unsetenv(trustVar)
	}
	place, err := placeOf(a.ledger, os.Getenv)
	if err != nil {
		return nil, err
	}
	if drivers.IsShared(place) {
		return a.openShared(place, o)
	}
	if err := o.needShared(place); err != nil {
		return nil, err
	}
	return drivers.Open(place, drivers.Options{TrustPlace: a.trustPlace, Look: a.look})
}
