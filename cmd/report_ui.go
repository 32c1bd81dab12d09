package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"idem/redact"
)

// ui is how idem speaks. The rules, for every message:
//
//   - stdout belongs to the command, or to what was asked for; idem's own words
//     go to stderr, each line behind "idem: ";
//   - lower case, no full stop; what to do about it on lines of its own behind
//     "idem: hint: ";
//   - stored text goes through escape, so that it cannot steer the terminal;
//   - one line for a fault that the user can mend.
//
// An error of writing a message has nobody to be told to.
type ui struct {
	stdout, stderr *os.File
	quiet          bool // no notes, warnings and hints
	verbose        bool
	terminal       *bool            // whether stderr is one; nil: not asked yet
	secrets        *redact.Redactor // values that no message may show
	reach          func() reach     // see there
}

func (u *ui) line(w io.Writer, prefix, format string, args ...any) {
	_, _ = fmt.Fprintf(w, "idem: %s%s\n", prefix, u.clean(fmt.Sprintf(format, args...)))
}

// clean makes a message one line without the values that no message may show.
func (u *ui) clean(text string) string { return oneLine(string(u.secrets.Bytes([]byte(text)))) }

// oneLine makes a message one line that cannot steer a terminal. Errors hold
// paths and flags as they were given.
func oneLine(text string) string {
	text = strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "; ")
	return escapeBut(text, `\`)
}

// fail tells an error, its hints behind it.
func (u *ui) fail(f *failure) {
	u.line(u.stderr, "", "%v", f.err)
	for _, h := range f.hints {
		u.hint(h)
	}
}

func (u *ui) hint(h hint) {
	if !u.quiet {
		u.line(u.stderr, "hint: ", "%s", u.hintText(h))
	}
}

// hintText writes a hint; one with a command asks for more than a text.
func (u *ui) hintText(h hint) string {
	if h.about == nil {
		return h.text
	}
	return u.reach().line(h)
}

// warn tells what went wrong without changing the outcome.
func (u *ui) warn(format string, args ...any) {
	if !u.quiet {
		u.line(u.stderr, "warning: ", format, args...)
	}
}

// note tells what was done, to a person who looks or who asked for it.
func (u *ui) note(format string, args ...any) {
	if u.notes() {
		u.line(u.stderr, "", format, args...)
	}
}

// notes reports whether notes are shown. The terminal is asked for once.
func (u *ui) notes() bool {
	if u.verbose || u.quiet {
		return u.verbose
	}
	if u.terminal == nil {
		is := isTerminal(u.stderr)
		u.terminal = &is
	}
	return *u.terminal
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
