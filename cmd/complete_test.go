package cmd

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestSplitShell(t *testing.T) {
	const breaks = " \t\n\"'@><=;|&(:"
	for line, want := range map[string][]string{
		"":                     {""},
		"idem ":                {"idem", ""},
		"idem  show  k":        {"idem", "show", "k"},
		`idem a\ b 'c d' "e f`: {"idem", "a b", "c d", "e f"},
		`idem "a\"b" 'c\d'`:    {"idem", `a"b`, `c\d`},
		`idem a"b c"d\`:        {"idem", "ab cd"},
		`idem "$(x y)" é`:      {"idem", "$(x y)", "é"},
	} {
		var got []string
		for _, w := range splitShell(line, breaks) {
			got = append(got, w.text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
	for line, want := range map[string]string{ // the text that bash inserts for the value a:b c@d=e
		"idem ":          `a:b\ c@d=e`,
		"idem a":         `a:b\ c@d=e`,
		"idem a:":        `b\ c@d=e`,
		`idem a:b\ c`:    `b\ c@d=e`,
		`idem a:b\ c@`:   `@d=e`,
		`idem a:b\ c@d=`: `e`,
		`idem "a:b`:      `a:b c@d=e`,
		`idem a:"b c`:    `b c@d=e`,
		`idem 'a:b c`:    `a:b c@d=e`,
		`idem a\:b`:      `a:b\ c@d=e`,
	} {
		words := splitShell(line, breaks)
		last := words[len(words)-1]
		if got, ok := last.insert("a:b c@d=e"[last.kept:]); got != want || !ok {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
	if w := splitShell("idem é  'x", "")[2]; w.begin != 8 {
		t.Errorf("got %d, want a word that begins at character 8", w.begin)
	}
}

// TestInsertedAsItIs: a value that quotes cannot have is not offered in them.
func TestInsertedAsItIs(t *testing.T) {
	for _, c := range []struct {
		quote byte
		text  string
		want  string // empty: not offered
	}{
		{0, "a$b'c\"d`e!f~g&h", `a\$b\'c\"d\` + "`" + `e\!f~g\&h`},
		{0, "~x", `\~x`},
		{'\'', "a$b", "a$b"},
		{'\'', "a'b", ""},
		{'"', "a'b", "a'b"},
		{'"', "a$b", ""},
		{'"', "a!b", ""},
	} {
		got, ok := shellWord{quote: c.quote}.insert(c.text)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%q in %q: got %q, %t, want %q", c.text, c.quote, got, ok, c.want)
		}
	}
}

// sortedKeys is a nextKey for sorted keys.
func sortedKeys(keys ...string) nextKey {
	return func(from, before string) (string, error) {
		if i, _ := slices.BinarySearch(keys, from); i < len(keys) && keys[i] < before {
			return keys[i], nil
		}
		return "", nil
	}
}

func TestKeyParts(t *testing.T) {
	var many, flat []string
	for _, a := range "abcdefgh" {
		for _, b := range "0123456789éx" {
			many = append(many, "k/"+string(a)+":"+string(b))
			for _, c := range "012" {
				flat = append(flat, "flat"+string(a)+string(b)+string(c))
			}
		}
	}
	few := sortedKeys("a", "a/", "a/b", "a:1", "b")
	all := slices.Concat(flat, []string{"k"}, many)
	slices.Sort(all)
	for _, c := range []struct {
		next  nextKey
		text  string
		want  string
		whole bool
	}{
		{few, "", "a a/ a/b a:1 b", true},
		{few, "a/", "a/ a/b", true},
		{few, "c", "", true},
		{few, "\xff", "", true},
		{sortedKeys(all...), "k", "k k/", false},
		{sortedKeys(all...), "k/", "k/a: k/b: k/c: k/d: k/e: k/f: k/g: k/h:", false},
		{sortedKeys(all...), "k/a", "k/a:0 k/a:1 k/a:2 k/a:3 k/a:4 k/a:5 k/a:6 k/a:7 k/a:8 k/a:9 k/a:x k/a:é", true},
		{sortedKeys(all...), "fl", "flata flatb flatc flatd flate flatf flatg flath", false},
		{sortedKeys(append([]string{"flat"}, flat...)...), "fl", "flat flata flatb flatc flatd flate flatf flatg flath", false},
	} {
		got, whole, err := keyParts(c.next, c.text)
		if text := strings.Join(got, " "); err != nil || whole != c.whole || text != c.want {
			t.Errorf("%q: got %q, %t, %v, want %q, %t", c.text, text, whole, err, c.want, c.whole)
		}
	}
}

func TestOffered(t *testing.T) {
	t.Setenv("IDEM_LEDGER", t.TempDir()+"/none")
	t.Setenv("IDEM_NAMESPACE", "")
	for line, want := range map[string]string{
		"li":                             "list :4",
		"mark ":                          "done failed retry :4",
		"run --on-failure re":            "rerun replay refuse :4",
		"run --on-failure=re":            "rerun replay refuse :4",
		"list --state failed,r":          "failed,running failed,retry :6",
		"run --key k --wait=f":           "forever fresh :4",
		"run --hook fail":                "failure= :6",
		"each --exit-code some":          "some-failed= :6",
		"each NAME --onl":                "--only :4",
		"step NAME --key":                ":4",
		"step NAME -- x --":              ":832",
		"run -":                          "*",
		"run --key k -q x -":             ":1088",
		"run --key k -- x --y ":          ":1088",
		"explain x ":                     ":320",
		"run --unknown x ":               ":576",
		"check k -":                      "*",
		"check k -- ":                    ":832",
		"logs -n ":                       ":4",
		"logs -n 3 --std":                "--stderr --stdout :4",
		"run --meta-file ":               ":0",
		"--ledger ":                      ":16",
		"--ledger x li":                  "list :4",
		"help moc":                       ":4",
		"help mut":                       "mutexes :4",
		"completion z":                   "zsh :4",
		"token x --ne":                   "*",
		"show -- -":                      ":4",
		"run --redact-env IDEM_NAMESPAC": "IDEM_NAMESPACE :4",
	} {
		words := strings.Split(line, " ")
		got := (&completionCall{}).answer(newApp(nil).completions(context.Background(), words))
		var values []string
		for l := range strings.Lines(got) {
			value, _, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "\t")
			values = append(values, value)
		}
		if text := strings.Join(values, " "); text != want && (want != "*" || strings.Contains(text, "`")) {
			t.Errorf("idem %s: got %q, want %q", line, text, want)
		}
	}
}

// TestEveryChoiceIsOffered: a flag whose value is one word of a set offers the set.
func TestEveryChoiceIsOffered(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			_, offers := f.Value.(worded)
			if offers || f.Value.Type() == "bool" {
				return
			}
			if err := f.Value.Set("no such word"); err != nil && strings.Contains(err.Error(), "one of") {
				t.Errorf("%s --%s: %v, and completion does not offer them", c.CommandPath(), f.Name, err)
			}
		})
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newApp(nil).command(""))
}
