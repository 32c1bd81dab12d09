package cmd_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdJSON is the command json FILE [ASSERTION]... FILE contains one JSON value.
// The assertions are about it, with paths such as attempts.0.state:
//
//	PATH         exists and is not null
//	PATH=VALUE   is the JSON VALUE, or the string VALUE if that is not JSON
//
// The path of the number of elements of an array ends with len: attempts.len=3. It has no
// special character, because testscript takes an unquoted # inside of a word for the start
// of a comment.
func cmdJSON(ts *testscript.TestScript, args []string) {
	text := ts.ReadFile(args[0])
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
	for _, assertion := range args[1:] {
		path, value, compare := strings.Cut(assertion, "=")
		got, ok := jsonAt(v, path)
		var want any
		if json.Unmarshal([]byte(value), &want) != nil {
			want = value
		}
		switch {
		case !ok:
			ts.Fatalf("%s: got no %s, want it", args[0], path)
		case !compare && got == nil:
			ts.Fatalf("%s: %s: got null, want a value", args[0], path)
		case compare && !reflect.DeepEqual(got, want):
			ts.Fatalf("%s: %s: got %#v, want %#v", args[0], path, got, want)
		}
	}
}

func jsonAt(v any, path string) (any, bool) {
	for name := range strings.SplitSeq(path, ".") {
		if name == "" {
			continue
		}
		switch x := v.(type) {
		case map[string]any:
			field, ok := x[name]
			if !ok {
				return nil, false
			}
			v = field
		case []any:
			if name == "len" {
				v = float64(len(x))
				continue
			}
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// testscript takes an unquoted # for the start of a comment, also inside of a word, and
// then checks nothing of the rest of the line.
func TestScriptsHaveNoCommentInsideAWord(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scriptDir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d scripts, %v", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		script, _, _ := strings.Cut("\n"+string(b), "\n-- ") // its files follow
		for line := range strings.Lines(script) {
			quoted, before := false, ' '
			for _, r := range line {
				if r == '\'' {
					quoted = !quoted
				}
				if r == '#' && !quoted {
					if !unicode.IsSpace(before) {
						t.Errorf("%s: quote the # in %s", file, line)
					}
					break
				}
				before = r
			}
		}
	}
}
