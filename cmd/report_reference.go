package cmd

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/drivers"
)

// hint is one line of advice after a message. It holds at most one command. A pasted
// command acts on exactly the record that the message is about.
type hint struct {
	text  string     // the whole text or, with a command or flags, their purpose
	about *ledger.ID // the record that the command names; nil: there is no command
	words []string   // the name of the command and its flags, except those for the record
	line  string     // another command, as a line for a shell
	how   string     // a command below idem ledger, about the ledger of this call; words follow it
	flags string     // flags that the call lacks
	call  bool       // whether the hint is about flags of the call
}

// advice makes a hint without a command.
func advice(format string, args ...any) hint { return hint{text: fmt.Sprintf(format, args...)} }

// flagAdvice makes a hint about flags that the call lacks, for the case when, "" for
// every case. The line says where in the call they are to be added.
func flagAdvice(when, flags string) hint { return hint{text: when, flags: flags, call: true} }

// flagsPlace returns where in a call a pasted flag is a flag. args are the arguments
// after the flags. A flag at the end of a call with a command is an argument of the
// command.
func flagsPlace(c *cobra.Command, args []string) string {
	switch name := pathOf(c); {
	case len(args) == 0:
	case name == "check" && !c.Flags().Changed("key") && c.ArgsLenAtDash() != 0:
		return "before the key"
	case name == "run", name == "step", c.Annotations[asksAnnotation] != "", name == "mark" && len(args) > 2:
		return "before the command"
	}
	return "to the call"
}

// addHint adds a hint.
func (f *failure) addHint(h hint) *failure {
	f.hints = append(f.hints, h)
	return f
}

// hint adds a hint without a command.
func (f *failure) hint(format string, args ...any) *failure {
	return f.addHint(advice(format, args...))
}

// hintRun adds a hint with a command that is not about a record, as a line for a shell. An
// empty purpose says that it needs no explanation.
func (f *failure) hintRun(purpose, format string, args ...any) *failure {
	return f.addHint(hint{text: purpose, line: fmt.Sprintf(format, args...)})
}

// hintLedger adds a hint with a call of idem ledger about the ledger of this call.
func (f *failure) hintLedger(purpose, how string) *failure {
	return f.addHint(hint{text: purpose, how: how})
}

// hintForm adds the form of a call.
func (f *failure) hintForm(form string) *failure { return f.hint("usage: %s", form) }

// hintFlags adds a hint about flags that the call lacks.
func (f *failure) hintFlags(when, flags string) *failure { return f.addHint(flagAdvice(when, flags)) }

// hintUnflagged adds a hint about a flag that the call should not have.
func (f *failure) hintUnflagged(when, flag string) *failure {
	return f.addHint(hint{text: when + ", leave out of the call: " + flag, call: true})
}

// hintFor adds a hint with a command about a record. The words are the name of the
// command and its flags, without the flags that name the record.
func (f *failure) hintFor(id ledger.ID, what string, words ...string) *failure {
	return f.addHint(hint{text: what, about: &id, words: words})
}

// windowed adds a flag to words if id has no window. The flag selects the record
// without a window, which is not recorded yet, rather than a record in a window.
func windowed(id ledger.ID, words ...string) []string {
	if id.Window == "" {
		return append(words, "--window", "")
	}
	return words
}

// hintSettle adds one hint for each way to settle an interrupted key by hand.
func (f *failure) hintSettle(id ledger.ID) *failure {
	return f.hintFor(id, "if it succeeded", "mark", "done").hintNotDone(id)
}

// hintNotDone adds the hints of hintSettle about a key that is not done.
func (f *failure) hintNotDone(id ledger.ID) *failure {
	return f.hintFor(id, "if it failed", "mark", "failed").
		hintFor(id, "to run it again at the next call", "mark", "retry")
}

// withoutHints drops all hints.
func (f *failure) withoutHints() *failure {
	f.hints = nil
	return f
}

// withoutFlagHints drops the hints about flags of the call, for a message of idem run in
// another command.
func (f *failure) withoutFlagHints() *failure {
	f.hints = slices.DeleteFunc(f.hints, func(h hint) bool { return h.call })
	return f
}

// withoutLedgerHint drops the hint with the call of idem ledger that has failed.
func (f *failure) withoutLedgerHint(how string) *failure {
	f.hints = slices.DeleteFunc(f.hints, func(h hint) bool { return h.how == how })
	return f
}

// ledgerPath says how this call found its ledger. A command in a hint repeats it, so
// the command finds the same record from another shell.
type ledgerPath struct {
	ledger  string // the value of --ledger, as it was given
	trust   bool   // whether --trust-place or IDEM_TRUST_PLACE is set
	getenv  func(string) string
	homeDir string // the home directory of the user, even if HOME differs
}

// ledgerPath returns how this call found its ledger. It reads the list of users, which
// is slow, so it is called only to print a command.
func (a *app) ledgerPath() ledgerPath {
	r := ledgerPath{ledger: a.ledger, trust: a.trustPlace, getenv: os.Getenv, homeDir: os.Getenv("HOME")}
	if u, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil && filepath.IsAbs(u.HomeDir) {
		r.homeDir = u.HomeDir
	}
	return r
}

// loginEnv returns the value of a variable after a login that sets nothing for idem.
func (r ledgerPath) loginEnv(name string) string {
	if name == "HOME" {
		return r.homeDir
	}
	return ""
}

// command returns a command line about a record. It has each flag without which the
// command would find another record, in this environment or in an empty one.
func (r ledgerPath) command(id ledger.ID, words ...string) string {
	words, under := cutUnder(words)
	argv := append(append([]string{"idem"}, words...), r.flags(id.Namespace)...)
	if id.Window != "" {
		argv = append(argv, flagWords("window", id.Window)...)
	}
	if under {
		return shellLine(append(argv, flagWords("under", id.Key)...))
	}
	if strings.HasPrefix(id.Key, "-") {
		argv = append(argv, "--")
	}
	return shellLine(append(argv, id.Key))
}

// shared reports whether the ledger of the call is a shared one.
func (r ledgerPath) shared() bool {
	place, err := placeOf(r.ledger, r.getenv)
	return err == nil && drivers.IsShared(place)
}

// commandLine returns the command of a hint as a line for a shell, "" if it has none.
func (h hint) commandLine(path func() ledgerPath) string {
	switch {
	case h.about != nil:
		return path().command(*h.about, h.words...)
	case h.how == "":
		return h.line
	}
	r := path()
	words := append([]string{"idem", "ledger", h.how}, h.words...)
	if len(h.words) > 0 { // the argument is not the ledger
		return shellLine(append(words, r.flags(defaultNamespace)...))
	}
	if place, err := placeOf(r.ledger, r.getenv); err == nil {
		words = append(words, publicURL(place))
	}
	if r.trust && !r.shared() {
		words = append(words, "--trust-place")
	}
	return shellLine(words)
}

// cutUnder removes --under from the end of words, and reports whether it was there. The
// key is then its value.
func cutUnder(words []string) ([]string, bool) {
	if n := len(words) - 1; n >= 0 && words[n] == "--under" {
		return words[:n:n], true
	}
	return words, false
}

// flags returns the flags without which a command would look in another ledger or another
// namespace, in this environment or in an empty one.
func (r ledgerPath) flags(namespace string) []string {
	var flags []string
	if place, ok := r.place(); ok {
		place = publicURL(place)
		if strings.HasSuffix(place, "\n") { // $(...) would cut off the newline
			place += "/"
		}
		flags = append(flags, flagWords("ledger", place)...)
	}
	if r.trust {
		flags = append(flags, "--trust-place")
	}
	if env := r.getenv("IDEM_NAMESPACE"); namespace != defaultNamespace || env != "" && env != defaultNamespace {
		flags = append(flags, flagWords("namespace", namespace)...)
	}
	return flags
}

// place returns the absolute path or the URL of the ledger and reports whether a command must
// name it.
func (r ledgerPath) place() (string, bool) {
	place, err := placeOf(r.ledger, r.getenv)
	if err != nil {
		return "", false
	}
	for _, getenv := range []func(string) string{r.getenv, r.loginEnv} {
		if found, err := placeOf("", getenv); err != nil || found != place {
			return place, true
		}
	}
	return "", false
}

// flagWords returns a flag with its value. A value that begins with a dash is in one
// word with its flag.
func flagWords(name, value string) []string {
	if strings.HasPrefix(value, "-") {
		return []string{"--" + name + "=" + value}
	}
	return []string{"--" + name, value}
}

// shellLine returns argv as a command line for a POSIX shell.
func shellLine(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = shellQuote(a)
	}
	return strings.Join(words, " ")
}

// shellQuote returns s as one word for a POSIX shell. Bytes that may not be printed
// are in octal, for printf(1). A newline at the end of s is then lost.
func shellQuote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-"
	if s != "" && s[0] != '=' && strings.Trim(s, plain) == "" {
		return s
	}
	if strings.ToValidUTF8(s, "\x00") == s && !strings.ContainsFunc(s, hashkey.Unprintable) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(plain, c) < 0 || c == '%' {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return `"$(printf '` + b.String() + `')"`
}
