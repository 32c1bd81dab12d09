package cmd

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"idem/hashkey"
)

// steers reports whether text contains characters that control a terminal,
// other than those in may.
func steers(text, may string) bool {
	return !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
		return hashkey.Unprintable(r) && !strings.ContainsRune(may, r)
	})
}

// oddTexts are seeds for the fuzz tests of stored text.
var oddTexts = []string{
	"", "plain", `back\slash`, `"quoted"`, "it's", "a\x1b[31mred", "\x9b31m", "\u009b31m", "\u202eevil", "\u2028", "\x00", "\x7f", "\xff\xfe",
	"é\xc3", "\xe2\x80", "🚀", "\U000e0001", "\ufeff", "\ufffd", "a\r\nb\tc", `\x1b`, `\`, "%0A%25", "::error::x", "\xed\xa0\x80", "-k", "~", "$x `y`",
}

// FuzzEscape checks that shown text contains no control characters and keeps
// its content. In quotes it is the same string in Go.
func FuzzEscape(f *testing.F) {
	for _, s := range oddTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shown := quote(s)
		back, err := strconv.Unquote(shown)
		if steers(shown, "") || err != nil || back != s || shown != `"`+strings.ReplaceAll(escape(s), `"`, `\"`)+`"` {
			t.Fatalf("%q: got %q, which reads as %q, %v, want the same text", s, shown, back, err)
		}
		if line := oneLine(s); steers(line, "") {
			t.Fatalf("%q: got the message %q, want no control characters", s, line)
		}
		if shown := escapeBut(s, "\n\t\\"); steers(shown, "\n\t") || utf8.ValidString(s) && !strings.ContainsFunc(s, hashkey.Unprintable) && shown != s {
			t.Fatalf("%q: got the output %q, want it unchanged or escaped", s, shown)
		}
	})
}

// words splits a command line as a shell does. It knows the syntax that
// commandLine writes: plain words, '...' and $'...'.
func words(line string) ([]string, error) {
	errWord := errors.New("no word")
	var out []string
	for line != "" {
		var word strings.Builder
		for line != "" && line[0] != ' ' {
			switch {
			case strings.HasPrefix(line, "$'"):
				end := 2
				for end < len(line) && line[end] != '\'' {
					if line[end] == '\\' {
						end++
					}
					end++
				}
				if end >= len(line) {
					return nil, errWord
				}
				text := strings.NewReplacer(`\\`, `\\`, `\'`, `'`, `"`, `\"`).Replace(line[2:end])
				plain, err := strconv.Unquote(`"` + text + `"`)
				if err != nil {
					return nil, err
				}
				word.WriteString(plain)
				line = line[end+1:]
			case line[0] == '\'':
				plain, rest, ok := strings.Cut(line[1:], "'")
				if !ok {
					return nil, errWord
				}
				word.WriteString(plain)
				line = rest
			case strings.HasPrefix(line, `\'`):
				word.WriteByte('\'')
				line = line[2:]
			case strings.IndexByte("$`\"\\|&;<>()*?[#~!{}^\n\t", line[0]) >= 0:
				return nil, errWord
			default:
				word.WriteByte(line[0])
				line = line[1:]
			}
		}
		out = append(out, word.String())
		if line != "" {
			line = line[1:]
		}
	}
	return out, nil
}

// FuzzCommandLine checks that a shown command line contains no control
// characters and that a shell reads it as the original arguments.
func FuzzCommandLine(f *testing.F) {
	for i, s := range oddTexts {
		f.Add(s, oddTexts[(i*7+3)%len(oddTexts)])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		argv := []string{a, b}
		line := commandLine(argv)
		got, err := words(line)
		if steers(line, "") || err != nil || !slices.Equal(got, argv) {
			t.Fatalf("%q: got %q, which reads as %q, %v, want the same arguments", argv, line, got, err)
		}
		old, now := excerpts([]byte(a), []byte(b))
		if steers(old+now, "") || a != b && old == now {
			t.Fatalf("%q and %q: got %q and %q, want two texts without control characters", a, b, old, now)
		}
	})
}

// FuzzMarshal checks that JSON contains no control characters and reads as the
// original value.
func FuzzMarshal(f *testing.F) {
	for _, s := range oddTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := marshal(map[string]any{"text": s, "bytes": jsonBytes(s), s: 1})
		if err != nil || steers(string(b), "\n") {
			t.Fatalf("%q: got %q, error %v, want JSON without control characters", s, b, err)
		}
		var got struct {
			Text  string
			Bytes json.RawMessage
		}
		if err := json.Unmarshal(b, &got); err != nil || s != "text" && got.Text != string([]rune(s)) {
			t.Fatalf("%q: got %q, which reads as %q, %v, want the same text", s, b, got.Text, err)
		}
		var text string
		var object struct{ Base64 []byte }
		if json.Unmarshal(got.Bytes, &text) != nil {
			err = json.Unmarshal(got.Bytes, &object)
			text = string(object.Base64)
		}
		if s != "bytes" && (err != nil || text != s || (object.Base64 == nil) != utf8.ValidString(s)) {
			t.Fatalf("%q: got %s, which reads as %q, %v, want the same bytes", s, got.Bytes, text, err)
		}
	})
}

// FuzzWorkflowData checks that a workflow command is one line, and that the
// runner of GitHub reads the original text in it.
func FuzzWorkflowData(f *testing.F) {
	for _, s := range oddTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		data := workflowData(s)
		// The order is that of actions/runner (ActionCommand.UnescapeData).
		got := strings.ReplaceAll(strings.ReplaceAll(data, "%0D", "\r"), "%0A", "\n")
		if got = strings.ReplaceAll(got, "%25", "%"); got != s || strings.ContainsAny(data, "\r\n") {
			t.Fatalf("%q: got %q, which reads as %q, want the same text on one line", s, data, got)
		}
	})
}
