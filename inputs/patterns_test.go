package inputs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// plant creates files below the new working directory of the test. A name that ends
// with a slash is a directory, "a -> b" a link.
func plant(t *testing.T, names ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range names {
		link, target, isLink := strings.Cut(name, " -> ")
		err := os.MkdirAll(filepath.Dir(link), 0o755)
		switch {
		case err != nil:
		case isLink:
			err = os.Symlink(target, link)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(name, 0o755)
		default:
			err = os.WriteFile(name, []byte(name), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestExpand(t *testing.T) {
	plant(t,
		"a.ts", "b.js", ".hidden.ts", "src/a.ts", "src/x/b.ts", "src/x/y/c.ts", "src/x/y/c.js", "src/void/", "src/x/.git/h.ts",
		"src/link -> x", "src/up -> ..", "src/dangling -> nothing", "src/file -> a.ts",
		"app[1]/x", "app[1]/b.conf", "app1/y.conf", "web[2]/x.conf", "[/x.c", `back\slash/x.c`,
		"one/lib/dist/f", "one/dist/g", "two/dist")
	for _, test := range []struct {
		pattern string
		want    string // separated by spaces; "two meanings" and "no pattern" are errors
	}{
		// as filepath.Glob matches
		{"*.ts", ".hidden.ts a.ts"},
		{"./*.ts", ".hidden.ts a.ts"},
		{"src/*.ts", "src/a.ts"},
		{"src//*.ts", "src/a.ts"},
		{"*/a.ts", "src/a.ts"},
		{"src/*/b.ts", "src/link/b.ts src/x/b.ts"}, // a link is a directory for one element
		{"src/d*", "src/dangling"},
		{"none/*", ""},
		{"a.ts/*", ""},
		{"*/", ""},
		{"src/**x", "src/x"}, // ** is only a part of the element
		{"[ab].?s", "a.ts b.js"},

		// any depth
		{"**/*.ts", ".hidden.ts a.ts src/a.ts src/x/.git/h.ts src/x/b.ts src/x/y/c.ts"},
		{"src/**/*.ts", "src/a.ts src/x/.git/h.ts src/x/b.ts src/x/y/c.ts"},
		{"./src/**/*.ts", "src/a.ts src/x/.git/h.ts src/x/b.ts src/x/y/c.ts"},
		{"src/**/**/*.js", "src/x/y/c.js"},
		{"src/**/y/*.js", "src/x/y/c.js"},
		{"src/**/y/**/c.*", "src/x/y/c.js src/x/y/c.ts"},
		{"*/**/c.js", "src/x/y/c.js"},
		{"**/dist", "one/dist one/lib/dist two/dist"},
		{"src/**", "src/a.ts src/dangling src/file src/link src/up src/x/.git/h.ts src/x/b.ts src/x/y/c.js src/x/y/c.ts"},
		{"src/**/*", "src/a.ts src/dangling src/file src/link src/up src/x/.git/h.ts src/x/b.ts src/x/y/c.js src/x/y/c.ts"},
		{"src/void/**", ""},
		{"none/**/*.ts", ""},
		{"a.ts/**", ""},
		{"**/none", ""},

		// brackets in names
		{"app[1]/*", "two meanings"},
		{`app\[1\]/*`, "app[1]/b.conf app[1]/x"},
		{"app[1-1]/*", "app1/y.conf"},
		{"web[2]/*", "web[2]/x.conf"},
		{"web[2]/none", ""},
		{"*/x.c", `[/x.c back\slash/x.c`},
		{"[/*.c", "[/x.c"},
		{`back\slash/*.c`, `back\slash/x.c`},
		{"[", "["},
		{"[a", "no pattern"},
		{"none/[", "no pattern"},
		{"*/[", "no pattern"},
	} {
		got, err := expand(test.pattern)
		text := strings.Join(got, " ")
		var fault *PatternError
		if errors.As(err, &fault) {
			text = "two meanings"
			if fault.Err != nil {
				text = "no pattern"
			}
		} else if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
		}
		if text != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.pattern, text, test.want)
		}
	}
	if got := (&PatternError{Pattern: `a[1]\b/*`}).Escaped(); got != `a\[1]\\b/*` {
		t.Errorf("escaped: got %s", got)
	}
}

// Without **, expand matches as filepath.Glob does, so fingerprints of older versions
// of idem stay valid.
func TestExpandIsGlobWithoutAnyDepth(t *testing.T) {
	plant(t, "a", "b", "ab", ".a", "d/a", "d/b", "d/d/a", "e/a", "e/ab", "l -> d", "e/l -> ../d", "x -> nothing")
	element := rapid.SampledFrom([]string{"a", "b", "d", "e", "l", "x", "*", "?", "[a-d]", "[^a]", "*b", "a*", "..", "."})
	rapid.Check(t, func(t *rapid.T) {
		pattern := strings.Join(rapid.SliceOfN(element, 1, 4).Draw(t, "elements"), "/")
		want, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(want)
		got, err := expand(pattern)
		if err != nil || !slices.Equal(got, slices.Compact(want)) {
			t.Fatalf("%s: got %q, want %q, error %v", pattern, got, want, err)
		}
	})
}
