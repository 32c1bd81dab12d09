package cmd

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"idem/redact"
)

// ui prints idem's own messages. stdout belongs to the command, or to the data that a
// command prints, so messages go to stderr. The mark at the start of a line says what
// the line is:
//
//	idem: the fault, in one short line         an error; it decides the exit status
//	idem:   a fact about the line above        one fact per line
//	idem: hint: a way out: at most one command the command can be pasted
//	idem: warning: the fault                   it does not change the exit status
//	idem: note: a fact                         all is well
//
// The rules for every message:
//
//   - The first line has fewer than 100 characters where the key, the paths and
//     the values in it are short. Further facts are details.
//   - Messages are in lower case without a full stop.
//   - Stored text goes through escape, so it cannot control the terminal.
//   - With -q, idem prints errors and their details only.
//
// An error of writing a message is dropped: there is no other place to report it.
type ui struct {
	stdout, stderr *os.File
	screen         io.Writer // the way to stderr while a batch runs; else nil
	quiet          bool      // no notes, warnings and hints
	verbose        bool
	terminal       *bool             // whether stderr is a terminal; nil: not known yet
	secrets        *redact.Redactor  // values that no message may show
	ledgerPath     func() ledgerPath // returns how this call found its ledger
	flagsPlace     string            // where hints tell to add flags, such as "to the call"
}

// The marks of lines.
const (
	errorMark   = ""
	detailMark  = "  "
	hintMark    = "hint: "
	warningMark = "warning: "
	noteMark    = "note: "
)

// say prints one line, even with -q.
func (u *ui) say(mark, format string, args ...any) {
	var w io.Writer = u.stderr
	if u.screen != nil {
		w = u.screen
	}
	_, _ = fmt.Fprintf(w, "idem: %s%s\n", mark, u.clean(fmt.Sprintf(format, args...)))
}

// clean makes a message one line without the values that no message may show.
func (u *ui) clean(text string) string { return oneLine(string(u.secrets.Bytes([]byte(text)))) }

// oneLine makes a message one line that cannot control a terminal. Errors contain
// paths and flags unescaped.
func oneLine(text string) string {
	text = strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "; ")
	return escapeBut(text, `\`)
}

// fail prints an error with its details and hints.
func (u *ui) fail(f *failure) {
	u.sayFailure(errorMark, f)
	u.hints(f.hints)
}

func (u *ui) hints(list []hint) {
	for _, h := range list {
		u.hint(h)
	}
}

// details returns the details of an error. Verbose details are included only with -v.
func (u *ui) details(f *failure) []string {
	if u.verbose {
		return append(slices.Clip(f.details), f.more...)
	}
	return f.details
}

func (u *ui) hint(h hint) {
	if !u.quiet {
		u.say(hintMark, "%s", u.hintText(h))
	}
}

// hintText returns the text of a hint. Only a hint with a command needs ledgerPath.
func (u *ui) hintText(h hint) string {
	line := h.commandLine(u.ledgerPath)
	switch {
	case line != "" && h.text == "":
		return line
	case line != "":
		return h.text + ": " + line
	case strings.HasPrefix(h.flags, flagName) && u.ledgerPath().shared(): // about its directory on this host
		return "set STATE_DIRECTORY to a directory that only this user can write to"
	case h.flags == "":
		return h.text
	case h.text == "":
		return "add " + u.flagsPlace + ": " + h.flags
	}
	return h.text + ", add " + u.flagsPlace + ": " + h.flags
}

// warn prints a fault that does not change the outcome.
func (u *ui) warn(format string, args ...any) {
	if !u.quiet {
		u.say(warningMark, format, args...)
	}
}

// warnDetail prints a detail of the warning before it.
func (u *ui) warnDetail(format string, args ...any) {
	if !u.quiet {
		u.say(detailMark, format, args...)
	}
}

// note prints a fact if stderr is a terminal, or with -v.
func (u *ui) note(format string, args ...any) {
	if u.notes() {
		u.say(noteMark, format, args...)
	}
}

// noteFailure prints an error as a note, for an error that --exit-code makes a
// success.
func (u *ui) noteFailure(f *failure) {
	if u.notes() {
		u.sayFailure(noteMark, f)
	}
}

// sayFailure prints an error and its details.
func (u *ui) sayFailure(mark string, f *failure) {
	u.say(mark, "%v", f.err)
	for _, text := range u.details(f) {
		u.say(detailMark, "%s", text)
	}
}

// notes reports whether notes are shown. It checks at most once whether stderr is a
// terminal.
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
