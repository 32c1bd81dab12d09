package cmd_test

import (
	"fmt"
	"regexp"
	"strings"
)

// maxMessage is how long the first line of a message may be where the values in
// it are short.
const maxMessage = 99

// anyLength is for messages about real paths and errors of the kernel.
const anyLength = 1 << 20

// messageKinds has the marks of lines behind "idem: ", except for errors.
var messageKinds = map[string]string{"  ": "detail", "hint: ": "hint", "warning: ": "warning", "note: ": "note"}

// messageKind says what a line of stderr is by its mark; "" if idem did not print
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

// variable parts of messages: quoted values, paths and times. Short ones do not count.
var (
	quotedValue = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']*'`)
	uuidValue   = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	pathValue   = regexp.MustCompile(`(?:\.|~)?/[^ :;,]*`)
)

// shortened makes the values in a message short.
func shortened(line string) string {
	const short = 10
	cut := func(s string) string {
		if len(s) <= short {
			return s
		}
		return s[:short-1] + "_"
	}
	line = uuidValue.ReplaceAllString(line, "UUID")
	return pathValue.ReplaceAllStringFunc(quotedValue.ReplaceAllStringFunc(line, cut), cut)
}

// messageFault returns what is wrong with the form of the messages in stderr, ""
// if nothing is. It knows idem's lines by their beginning. A first line may have
// most characters.
func messageFault(stderr string, most int) string {
	before := ""
	for line := range strings.Lines(stderr) {
		line = strings.TrimSuffix(line, "\n")
		kind := messageKind(line)
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
