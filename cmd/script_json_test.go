package cmd_test

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdJSON is the command json FILE [ASSERTION]... FILE contains one JSON value.
// The assertions are about it, with paths such as attempts.0.state:
//
//	PATH         exists and is not null
//	PATH=VALUE   is the JSON VALUE, or the string VALUE if that is not JSON
//	PATH#=N      has N elements
func cmdJSON(ts *testscript.TestScript, args []string) {
	text := ts.ReadFile(args[0])
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
	for _, assertion := range args[1:] {
		path, value, compare := strings.Cut(assertion, "=")
		path, count := strings.CutSuffix(path, "#")
		got, ok := jsonAt(v, path)
		if count {
			got, ok = float64(reflect.ValueOf(got).Len()), true
		}
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
