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

// steers tells whether text could do anything to a terminal but be shown in it;
// may are control characters that are meant to be there.
func steers(text, may string) bool {
	return !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
		return hashkey.Unprintable(r) && !strings.ContainsRune(may, r)
	})
}

// oddTexts are seeds with what stored text must not do.
var oddTexts = []string{
	"", "plain", `back\slash`, `"quoted"`, "it's", "a\x1b[31mred", "\x9b31m", "\u009b31m", "\u202eevil", "\u2028", "\x00", "\x7f", "\xff\xfe",
	"é\xc3", "\xe2\x80", "🚀", "\U000e0001", "\ufeff", "\ufffd", "a\r\nb\tc", `\x1b`, `\`, "%0A%25", "::error::x", "\xed\xa0\x80", "-k", "~", "$x `y`",
}

// FuzzEscape: what is shown steers nothing, and what it was can be read off it:
// in quotes it is the same string in Go.
func FuzzEscape(f *testing.F) {
	for _, s := range oddTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shown := quote(s)
		back, err := strconv.Unquote(shown)
		if steers(shown, "") || err != nil || back != s || shown != `"`+strings.ReplaceAll(escape(s), `"`, `\"`)+`"` {
			t.Fatalf("%q is shown as %q, which reads as %q, %v", s, shown, back, err)
		}
		if line := oneLine(s); steers(line, "") {
			t.Fatalf("%q makes the message %q", s, line)
		}
		if shown := escapeBut(s, "\n\t\\"); steers(shown, "\n\t") || utf8.ValidString(s) && !strings.ContainsFunc(s, hashkey.Unprintable) && shown != s {
			t.Fatalf("%q is output shown as %q", s, shown)
		}
	})
}

// words splits a command line as a shell does, of whose syntax it knows what
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

// FuzzCommandLine: a command line as it is shown steers nothing and, pasted, is
// the one that it was.
func FuzzCommandLine(f *testing.F) {
	for i, s := range oddTexts {
		f.Add(s, oddTexts[(i*7+3)%len(oddTexts)])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		argv := []string{a, b}
		line := commandLine(argv)
		got, err := words(line)
		if steers(line, "") || err != nil || !slices.Equal(got, argv) {
			t.Fatalf("%q is shown as %q, which is %q, %v", argv, line, got, err)
		}
		old, now := excerpts([]byte(a), []byte(b))
		if steers(old+now, "") || a != b && old == now {
			t.Fatalf("%q and %q are shown as %q and %q", a, b, old, now)
		}
	})
}

// FuzzMarshal: JSON that steers nothing and reads as what it was made of.
func FuzzMarshal(f *testing.F) {
	for _, s := range oddTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := marshal(map[string]any{"text": s, "bytes": jsonBytes(s), s: 1})
		if err != nil || steers(string(b), "\n") {
			t.Fatalf("%q becomes %q, error %v", s, b, err)
		}
		var got struct {
			Text  string
			Bytes json.RawMessage
		}
		if err := json.Unmarshal(b, &got); err != nil || s != "text" && got.Text != string([]rune(s)) {
			t.Fatalf("%q becomes %q, which reads as %q, %v", s, b, got.Text, err)
		}
		var text string
		var object struct{ Base64 []byte }
		if json.Unmarshal(got.Bytes, &text) != nil {
			err = json.Unmarshal(got.Bytes, &object)
			text = string(object.Base64)
		}
		if s != "bytes" && (err != nil || text != s || (object.Base64 == nil) != utf8.ValidString(s)) {
			t.Fatalf("%q becomes %s, which reads as %q, %v", s, got.Bytes, text, err)
		}
	})
}

// FuzzWorkflowData: a workflow command is one line, and the runner of GitHub
// reads in it what was meant.
func FuzzWorkflowData(f *testing.F) {
	for _, s := range oddTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		data := workflowData(s)
		// In this order, as actions/runner has it (ActionCommand.UnescapeData).
		got := strings.ReplaceAll(strings.ReplaceAll(data, "%0D", "\r"), "%0A", "\n")
		if got = strings.ReplaceAll(got, "%25", "%"); got != s || strings.ContainsAny(data, "\r\n") {
			t.Fatalf("%q is written as %q, which reads as %q", s, data, got)
		}
	})
}
