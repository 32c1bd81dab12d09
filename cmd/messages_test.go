package cmd_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// maxMessage is the largest number of characters in the first line of a message
// whose values are short.
const maxMessage = 99

// serverText is the length of what the server of a shared ledger adds to that line.
const serverText = 60

// anyLength is the limit for messages about real paths and errors of the
// kernel.
const anyLength = 1 << 20

// messageKinds maps the mark of a line after "idem: " to its kind. Errors have
// no mark.
var messageKinds = map[string]string{"  ": "detail", "hint: ": "hint", "warning: ": "warning", "note: ": "note"}

// messageKind returns the kind of a line of stderr, or "" if idem did not print
// it.
func messageKind(line string) string {
	text, ok := strings.CutPrefix(line, "idem: ")
	if !ok {
		return ""
	}
	for mark, kind := range messageKinds {
		if strings.HasPrefix(text, mark) {
			return kind
		}
	}
	return "error"
}

// These match the variable parts of messages: quoted values, paths, ages, and all but
// the first of several processes. Short values do not match.
var (
	quotedValue = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']*'`)
	uuidValue   = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	processList = regexp.MustCompile(`(, \d+ \([^)]*\))+`)
	pathValue   = regexp.MustCompile(`(?:\.|~)?/[^ :;,]*`)
	ageValue    = regexp.MustCompile(`\([^()]+ ago\)`)
	urlValue    = regexp.MustCompile(`postgres://\S*[^\s:;,]`)
)

// shortened shortens the values in a message.
func shortened(line string) string {
	const short = 10
	cut := func(s string) string {
		if len(s) <= short {
			return s
		}
		return s[:short-1] + "_"
	}
	line = processList.ReplaceAllString(uuidValue.ReplaceAllString(line, "UUID"), "")
	line = ageValue.ReplaceAllString(line, "(now)")
	line = urlValue.ReplaceAllStringFunc(line, cut)
	return pathValue.ReplaceAllStringFunc(quotedValue.ReplaceAllStringFunc(line, cut), cut)
}

// messageFault returns a description of the first fault in the form of the
// messages in stderr, or "" if there is none. It recognizes idem's lines by
// their beginning. most is the maximum length of a first line.
func messageFault(stderr string, most int) string {
	before := ""
	for line := range strings.Lines(stderr) {
		line = strings.TrimSuffix(line, "\n")
		kind := messageKind(line)
		most := most
		if urlValue.MatchString(line) {
			most += serverText
		}
		switch n := len([]rune(shortened(line))); {
		case kind == "detail" && before == "", kind == "detail" && before == "hint":
			return fmt.Sprintf("a detail without a first line: %s", line)
		case (kind == "error" || kind == "warning" || kind == "note") && n > most:
			return fmt.Sprintf("the first line of a message has %d characters, more than %d: %s", n, most, line)
		case kind != "" && strings.HasSuffix(line, "."):
			return fmt.Sprintf("a message ends with a full stop: %s", line)
		}
		before = kind
	}
	return ""
}

// A message is as long as it is without its age, which depends on how busy the machine is.
func TestAgeOfAMessage(t *testing.T) {
	for _, age := range []string{"now", "1 second ago", "12 minutes ago"} {
		if fault := messageFault(`idem: note: replayed key "counted": attempt 1 exited with status 0, 2026-12-01T03:59:23Z (`+age+")", maxMessage); fault != "" {
			t.Error(fault)
		}
	}
}
