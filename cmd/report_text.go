package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"idem/hashkey"
	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

// escape makes stored text safe to print. Characters that could control a terminal,
// and bytes that are not UTF-8, become escapes of a Go string. Backslashes are
// doubled.
func escape(s string) string { return escapeBut(s, "") }

// escapeBut is escape for all characters except those of but.
func escapeBut(s, but string) string {
	bad := func(r rune, n int) bool {
		return !strings.ContainsRune(but, r) && (r == '\\' || hashkey.Unprintable(r)) || r == utf8.RuneError && n == 1
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if bad(r, n) {
			q := strconv.QuoteToASCII(s[:n])
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// quote returns s escaped and in double quotes.
func quote(s string) string { return `"` + strings.ReplaceAll(escape(s), `"`, `\"`) + `"` }

// commandLine returns argv as a line for a person to read and usually to paste. Words
// that may be secrets are masked.
func commandLine(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range hashkey.Mask(argv) {
		words[i] = shellQuote(a)
		if e := escape(a); e != a {
			words[i] = "$'" + strings.ReplaceAll(e, "'", `\'`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// excerptLen limits the bytes of a long argument that a message shows.
const excerptLen = 80

// excerpts returns two different values for a message, each in quotes. A long value is
// cut to the part around the first difference. A nil value is missing.
func excerpts(old, new []byte) (string, string) {
	same := 0
	for same < min(len(old), len(new)) && old[same] == new[same] {
		same++
	}
	show := func(b []byte) string {
		if b == nil {
			return "missing"
		}
		from, to := 0, len(b)
		var before, after string
		if len(b) > excerptLen {
			from = max(0, same-excerptLen/4)
			to = min(len(b), from+excerptLen)
			if from > 0 {
				before = "…"
			}
			if to < len(b) {
				after = fmt.Sprintf("… (%d bytes)", len(b))
			}
		}
		return before + quote(string(b[from:to])) + after
	}
	return show(old), show(new)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// timeText returns a time for a message: exact, and relative to now.
func timeText(t time.Time) string { return stamp(t) + " (" + humanize.Time(t) + ")" }

// ownerText returns the process that ran an attempt, for a message.
func ownerText(o ledger.Owner) string {
	return fmt.Sprintf("by %s@%s (pid %d)", escape(o.User), escape(o.Host), o.PID)
}

// plural returns a number of things, such as "2 attempts".
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// attemptText names an attempt in a sentence. A mark is "it", because the command did
// not run for it.
func attemptText(a ledger.Attempt) string {
	if a.Number == 0 {
		return "it"
	}
	return fmt.Sprintf("attempt %d", a.Number)
}

// outcomeText describes the outcome of an attempt, as the end of a sentence.
func outcomeText(a ledger.Attempt) string {
	switch {
	case a.State == ledger.Running:
		return "has no recorded end"
	case a.Reason == ledger.ReasonLost:
		return "ended, but its exit status is not known"
	case a.Reason == ledger.ReasonMarked:
		return "was marked " + markName(a.State)
	case a.Reason == ledger.ReasonProbed:
		return "was found done by the probe"
	case a.Reason == ledger.ReasonTransaction:
		return "was recorded as done by the command's own transaction"
	case a.Reason == ledger.ReasonUnverified && a.ExitCode == 1:
		return "was found gone by the verification"
	case a.Reason == ledger.ReasonUnverified:
		return "could not be verified"
	case a.Reason == ledger.ReasonTimeout:
		return "was ended by --timeout"
	case a.Signal != 0:
		return "died of " + signalName(a.Signal)
	default:
		return fmt.Sprintf("exited with status %d", a.ExitCode)
	}
}

func statusText(s proc.Status) string {
	if s.Signal != 0 {
		return "died of " + signalName(int(s.Signal))
	}
	return "exited with status " + strconv.Itoa(s.ExitCode)
}

func signalName(n int) string {
	if name := unix.SignalName(syscall.Signal(n)); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", n)
}

// marshal returns v as indented JSON whose strings cannot control a terminal. Besides
// the characters that encoding/json escapes, it escapes C1 and bidirectional controls
// and DEL.
func marshal(v any) ([]byte, error) { return marshalBelow("", v) }

// marshalBelow is marshal with indent before all lines except the first.
func marshalBelow(indent string, v any) ([]byte, error) {
	return marshalWith(v, func(enc *json.Encoder) { enc.SetIndent(indent, "  ") })
}

// marshalLine is marshal on one line.
func marshalLine(v any) ([]byte, error) { return marshalWith(v, func(*json.Encoder) {}) }

func marshalWith(v any, set func(*json.Encoder)) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	set(enc)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(b.Bytes(), func(c byte) bool { return c >= 0x7f }) {
		return b.Bytes(), nil // encoding/json has escaped the rest
	}
	var out bytes.Buffer
	for _, r := range b.String() {
		if r != '\n' && hashkey.Unprintable(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.Bytes(), nil
}

// validText returns s, escaped if it is not UTF-8: JSON would replace the bytes.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return escape(s)
}

// jsonBytes is text that may not be UTF-8. In JSON, it is a string if it is UTF-8,
// else an object {"base64": "..."}.
type jsonBytes string

func (s jsonBytes) MarshalJSON() ([]byte, error) {
	var v any = string(s)
	if !utf8.ValidString(string(s)) {
		v = map[string][]byte{"base64": []byte(s)}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // as in marshal, which could not undo it
	err := enc.Encode(v)
	return b.Bytes(), err
}

// replayedText returns the text of the note about a replay.
func replayedText(res runner.Result) string {
	cur := res.Record.Current
	return fmt.Sprintf("replayed key %s: %s %s, %s", keyShown(res.Record), attemptText(cur), outcomeText(cur), timeText(cur.Started))
}

// unrecordedText describes the end of a command whose outcome is not in the ledger.
func unrecordedText(res runner.Result) string {
	if errors.As(res.Unrecorded, new(*proc.LostError)) {
		return "ran, but its outcome is not known"
	}
	return statusText(res.Status) + ", but its outcome could not be recorded"
}
