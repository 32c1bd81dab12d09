package items

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"idem/hashkey"
)

var (
	csvOptions   = TemplateOptions{Options: Options{Format: CSV, Batch: "k", KeyFields: []string{"id"}}, Header: []string{"id", "mail", "first name"}}
	jsonlOptions = TemplateOptions{Options: Options{Format: JSONL, Batch: "k", KeyFields: []string{"id"}}}
)

// with returns options with a change.
func with(o TemplateOptions, change func(*TemplateOptions)) TemplateOptions {
	change(&o)
	return o
}

func TestArgv(t *testing.T) {
	lines := TemplateOptions{}
	for _, test := range []struct {
		name string
		o    TemplateOptions
		argv []string
		want []string // for the item x {} y, with the fields 7, a@b and {id}
	}{
		{"appended", lines, []string{"./log"}, []string{"./log", "x {} y"}},
		{"whole", lines, []string{"./log", "{}", "--", "{}"}, []string{"./log", "x {} y", "--", "x {} y"}},
		{"a part", lines, []string{"./log", "--item={}.txt{}"}, []string{"./log", "--item=x {} y.txtx {} y"}},
		{"empty arguments", lines, []string{"./log", "", "{}", ""}, []string{"./log", "", "x {} y", ""}},
		{"other braces", lines, []string{"jq", "{id:.x}", "{}", "{id}", "{{", "}{", "{ }"}, []string{"jq", "{id:.x}", "x {} y", "{id}", "{{", "}{", "{ }"}},
		{"awk", lines, []string{"awk", "{print $1}"}, []string{"awk", "{print $1}", "x {} y"}},
		{"doubled braces", lines, []string{"a", "{{}}"}, []string{"a", "{x {} y}"}},
		{"another pair", with(lines, func(o *TemplateOptions) { o.Pair = "[]" }), []string{"a", "{}", "[]"}, []string{"a", "{}", "x {} y"}},
		{"a long pair", with(lines, func(o *TemplateOptions) { o.Pair = "{{}}" }), []string{"a", "{}", "{{}}"}, []string{"a", "{}", "x {} y"}},
		{"on stdin", with(lines, func(o *TemplateOptions) { o.OnStdin = true }), []string{"cat"}, []string{"cat"}},
		{"fields", csvOptions, []string{"a", "{id}", "--to={mail}", "{first name}"}, []string{"a", "7", "--to=a@b", "{id}"}},
		{"a field within braces", csvOptions, []string{"a", "{{id}}"}, []string{"a", "{7}"}},
		{"the raw line", csvOptions, []string{"a", "{}"}, []string{"a", "x {} y"}},
		{"a field in another pair", with(csvOptions, func(o *TemplateOptions) { o.Pair = "<>" }), []string{"a", "{id}", "<id>"}, []string{"a", "{id}", "7"}},
		{"no placeholder, on stdin", with(csvOptions, func(o *TemplateOptions) { o.OnStdin = true }), []string{"a", "{x y}"}, []string{"a", "{x y}"}},
		{"a field of an object", jsonlOptions, []string{"a", "{id}", "{.x}", "{a:b}"}, []string{"a", "7", "{.x}", "{a:b}"}},
	} {
		tmpl, err := ParseTemplate(test.argv, test.o)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		it := Item{Raw: "x {} y"}
		for _, f := range tmpl.Fields {
			it.Values = append(it.Values, map[string]string{"id": "7", "mail": "a@b", "first name": "{id}"}[f])
		}
		if d := cmp.Diff(test.want, tmpl.Argv(&it)); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
	}
}

func TestTemplateErrors(t *testing.T) {
	pair := func(p string) TemplateOptions { return TemplateOptions{Pair: p} }
	for _, test := range []struct {
		argv []string
		o    TemplateOptions
		want string
	}{
		{nil, TemplateOptions{}, ErrEmpty.Error()},
		{[]string{"./{}"}, TemplateOptions{}, ErrCommand.Error()},
		{[]string{"{id}", "{mail}"}, csvOptions, ErrCommand.Error()},
		{[]string{"./x"}, csvOptions, "the command has no placeholder"},
		{[]string{"./x", "{nosuch}"}, csvOptions, `the header has no field "nosuch"`},
		{[]string{"./x", "{print $1}"}, jsonlOptions, "the command has no placeholder"},
		{[]string{"./x"}, pair("%"), ErrPair.Error()},
		{[]string{"./x"}, pair("{}}"), ErrPair.Error()},
		{[]string{"./x"}, pair("\xff\xfe"), ErrPair.Error()},
		{[]string{"./x"}, pair("\x00\x00"), ErrPair.Error()},
	} {
		if _, err := ParseTemplate(test.argv, test.o); err == nil || err.Error() != test.want {
			t.Errorf("%q: got error %v, want %q", test.argv, err, test.want)
		}
	}
	_, err := ParseTemplate([]string{"x", "{no}", "{such}"}, csvOptions)
	var e *PlaceholderError
	if !errors.As(err, &e) || !cmp.Equal(e.Unknown, []string{"no", "such"}) || len(e.Header) != 3 {
		t.Errorf("got %#v", err)
	}
}

func TestUnknownWordsStay(t *testing.T) {
	tmpl, err := ParseTemplate([]string{"x", "{id}", "{nosuch}{nosuch}", "{a b}", "{id:.x}", "{1}"}, csvOptions)
	if err != nil || !cmp.Equal(tmpl.Unknown, []string{"nosuch"}) {
		t.Errorf("got %v and %v", tmpl, err)
	}
	if got := tmpl.Argv(&Item{Values: []string{"7"}}); !cmp.Equal(got, []string{"x", "7", "{nosuch}{nosuch}", "{a b}", "{id:.x}", "{1}"}) {
		t.Errorf("got %q", got)
	}
}

// Only the fields that the command gets are among the inputs of an item, in any order of
// the command line.
func TestInputs(t *testing.T) {
	hash := name("k", "a\tb")
	for _, test := range []struct {
		name string
		o    TemplateOptions
		argv []string
		it   Item
		want []string
	}{
		{"a line", TemplateOptions{Options: Options{Batch: "k"}}, []string{"x"}, Item{Raw: "7", Key: "7", Name: "7"}, []string{"batch=k"}},
		{"a hashed line", TemplateOptions{Options: Options{Batch: "k"}}, []string{"x"}, Item{Raw: "a\tb", Key: "a\tb", Name: hash}, []string{"batch=k", "item=a\tb"}},
		{"a line on stdin", TemplateOptions{Options: Options{Batch: "k"}, OnStdin: true}, []string{"x"}, Item{Raw: "7", Key: "7", Name: "7"}, []string{"batch=k"}},
		{"the key alone", csvOptions, []string{"x", "{id}"}, Item{Raw: "7,m,f", Key: "7", Name: "7", Values: []string{"7"}}, []string{"batch=k"}},
		{"fields", csvOptions, []string{"x", "{mail}", "{first name}"}, Item{Key: "7", Name: "7", Values: []string{"m", "f"}}, []string{"batch=k", "{first name}=f", "{mail}=m"}},
		{"the raw line", csvOptions, []string{"x", "{}"}, Item{Raw: "7,m,f", Key: "7", Name: "7"}, []string{"batch=k", "{}=7,m,f"}},
		{"the raw line on stdin", with(csvOptions, func(o *TemplateOptions) { o.OnStdin = true }), []string{"x"}, Item{Raw: "7,m,f", Key: "7", Name: "7"}, []string{"batch=k", "{}=7,m,f"}},
		{"a field called item", with(jsonlOptions, func(o *TemplateOptions) { o.KeyFields = []string{"a", "b"} }), []string{"x", "{item}", "{b}"}, Item{Key: "1,2", Name: hash, Values: []string{"i", "2"}}, []string{"batch=k", "item=1,2", "{item}=i"}},
	} {
		tmpl, err := ParseTemplate(test.argv, test.o)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		in := tmpl.Inputs(&test.it)
		for _, p := range in {
			got = append(got, p.Name+"="+string(p.Value))
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
		if fp := tmpl.Fingerprint(&test.it); fp != in.Fingerprint() || fp != in.Canonical().Fingerprint() {
			t.Errorf("%s: the fingerprint is not that of the inputs", test.name)
		}
	}
}

func TestCallIsTheTemplate(t *testing.T) {
	call := func(o TemplateOptions, argv ...string) string {
		tmpl, err := ParseTemplate(argv, o)
		if err != nil {
			t.Fatal(err)
		}
		return tmpl.Call().Canonical().Fingerprint()
	}
	lines := TemplateOptions{}
	if call(lines, "x", "{}") != hashkey.Argv([]string{"x", "{}"}).Fingerprint() {
		t.Error("the template of lines is more than its command line")
	}
	keys := func(names ...string) TemplateOptions {
		return with(csvOptions, func(o *TemplateOptions) { o.KeyFields = names })
	}
	all := []string{
		call(lines, "x", "{}"),
		call(lines, "x"),
		call(with(lines, func(o *TemplateOptions) { o.Pair = "[]" }), "x", "{}"),
		call(with(lines, func(o *TemplateOptions) { o.OnStdin = true }), "x", "{}"),
		call(csvOptions, "x", "{}"),
		call(keys("mail"), "x", "{}"),
		call(keys("id", "mail"), "x", "{}"),
		call(keys("mail", "id"), "x", "{}"),
	}
	for i := range all {
		for j := range i {
			if all[i] == all[j] {
				t.Errorf("calls %d and %d are the same", i, j)
			}
		}
	}
	if call(csvOptions, "x", "{}") != call(with(csvOptions, func(o *TemplateOptions) { o.Format, o.Pair, o.StrictNewline = TSV, "{}", true }), "x", "{}") {
		t.Error("the format changes the template")
	}
}

// A placeholder in a script is refused, with a command line that is safe.
func TestScripts(t *testing.T) {
	for _, test := range []struct {
		argv []string
		safe []string // nil: refused without one
	}{
		{[]string{"sh", "-c", "echo {}"}, []string{"sh", "-c", `echo "$1"`, "_", "{}"}},
		{[]string{"/bin/bash", "-euc", `echo "a {} b"`}, []string{"/bin/bash", "-euc", `echo "a $1 b"`, "_", "{}"}},
		{[]string{"sh", "-c", `echo "{}0"`}, []string{"sh", "-c", `echo "${1}0"`, "_", "{}"}},
		{[]string{"sh", "-c", `echo '{}' 'a {} b' '{}'`}, []string{"sh", "-c", `echo "$1" 'a '"$1"' b' "$1"`, "_", "{}"}},
		{[]string{"sh", "-c", `echo \"{}`}, []string{"sh", "-c", `echo \""$1"`, "_", "{}"}},
		{[]string{"bash", "-o", "pipefail", "-c", "echo {} | cat", "me", "x"}, []string{"bash", "-o", "pipefail", "-c", `echo "$2" | cat`, "me", "x", "{}"}},
		{[]string{"bash", "-oc", "errexit", "echo {}"}, []string{"bash", "-oc", "errexit", `echo "$1"`, "_", "{}"}},
		{[]string{"env", "A=b", "sudo", "-n", "dash", "-c", "--", "echo {}"}, []string{"env", "A=b", "sudo", "-n", "dash", "-c", "--", `echo "$1"`, "_", "{}"}},
		{[]string{"su", "root", "-c", "echo {}"}, []string{"su", "root", "-c", `echo "$1"`, "--", "_", "{}"}},
		{[]string{"su", "-c", "echo {}"}, nil},
		{[]string{"runuser", "u", "--command=echo {}"}, nil},
		{[]string{"flock", "f", "-c", "echo {}"}, nil},
		{[]string{"sh", "-c", "{}"}, nil},
		{[]string{"sh", "-c", ` "{}" `}, nil},
		{[]string{"sh", "-c", "echo $(cat {})"}, nil},
		{[]string{"sh", "-c", "cat <<X\n{}\nX"}, nil},
		{[]string{"sh", "-c", "ls # it's\ncat {}"}, nil},
		{[]string{"find", ".", "-exec", "sh", "-c", "echo {}", ";"}, nil},
		{[]string{"fish", "-c", "echo {}"}, nil},
		// The script cannot see the item.
		{[]string{"sh", "-c", `echo "$1"`}, []string{"sh", "-c", `echo "$1"`, "_", "{}"}},
		{[]string{"sh", "-c", `echo "$1"`, "{}"}, []string{"sh", "-c", `echo "$1"`, "_", "{}"}},
		{[]string{"env", "ksh", "-c", `echo "$1 $2"`, "{}", "b"}, []string{"env", "ksh", "-c", `echo "$1 $2"`, "_", "{}", "b"}},
	} {
		_, err := ParseTemplate(test.argv, TemplateOptions{})
		var e *ScriptError
		if !errors.As(err, &e) {
			t.Errorf("%q: got error %v, want a ScriptError", test.argv, err)
			continue
		}
		if d := cmp.Diff(test.safe, e.Safe); d != "" {
			t.Errorf("%q (-want +got):\n%s", test.argv, d)
		}
		if e.Safe != nil {
			if _, err := ParseTemplate(e.Safe, TemplateOptions{}); err != nil {
				t.Errorf("%q is refused: %v", e.Safe, err)
			}
		}
	}
	if _, err := ParseTemplate([]string{"sh", "-c", "pay {mail} {id} {mail}"}, csvOptions); err != nil {
		e, _ := errors.AsType[*ScriptError](err)
		if d := cmp.Diff([]string{"sh", "-c", `pay "$1" "$2" "$1"`, "_", "{mail}", "{id}"}, e.Safe); d != "" {
			t.Error(d)
		}
	}
}

// The safe command line of a script prints what the unsafe one was meant to print.
func TestSafeScriptsRun(t *testing.T) {
	for script, want := range map[string]string{
		"printf %s {}":          "I",
		`printf %s "{}"`:        "I",
		`printf %s '{}'`:        "I",
		`printf %s "a{}9"'b{}'`: "aI9bI",
		`printf %s \"{}\"`:      `"I"`,
		`printf %s '"{}"'`:      `"I"`,
		`printf %s "'{}'"`:      `'I'`,
		`printf %s '{}''{}'{}`:  `III`,
	} {
		_, err := ParseTemplate([]string{"sh", "-c", script}, TemplateOptions{})
		e, ok := errors.AsType[*ScriptError](err)
		if !ok || e.Safe == nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		tmpl, err := ParseTemplate(e.Safe, TemplateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		const evil = "$(echo x); 'a' \"b\" `c` \\"
		argv := tmpl.Argv(&Item{Raw: evil})
		out, err := exec.Command(argv[0], argv[1:]...).Output()
		if want := strings.ReplaceAll(want, "I", evil); err != nil || string(out) != want {
			t.Errorf("%s, as %q: got %q and error %v, want %q", script, argv, out, err, want)
		}
	}
}

func TestNoScripts(t *testing.T) {
	for _, argv := range [][]string{
		{"sh", "-c", `echo "$1"`, "_", "{}"},
		{"sh", "-c", `echo "$0"`},
		{"sh", "-c", "echo x"},
		{"sh", "-c", "echo x", "{}"},
		{"sh", "-c", `echo "$0"`, "{}"},
		{"sh", "{}"},
		{"bash", "-x", "./script", "-c", "{}"},
		{"./sh.sh", "-c", "{}"},
		{"grep", "-c", "{}", "file"},
		{"su", "{}", "-c", "id"},
		{"su", "u", "--", "-c", "{}"},
		{"ssh", "-n", "{}", "uptime"},
		{"ssh", "-o", "BatchMode=yes", "-p", "22", "--", "{}", "uptime"},
		{"python3", "x.py", "-c", "{}"},
		{"python3", "--check", "{}"},
	} {
		tmpl, err := ParseTemplate(argv, TemplateOptions{})
		if err != nil || len(tmpl.Risks) > 0 {
			t.Errorf("%q: got error %v, risks %v", argv, err, tmpl)
		}
	}
}

func TestRisks(t *testing.T) {
	for _, test := range []struct {
		argv []string
		want []Risk
	}{
		{[]string{"ssh", "host", "rm", "{}"}, []Risk{{"ssh", 3}}},
		{[]string{"env", "ssh", "-n", "-p", "22", "{}", "rm", "x{}", "y", "{}"}, []Risk{{"ssh", 7}, {"ssh", 9}}},
		{[]string{"ssh", "--", "host", "{}"}, []Risk{{"ssh", 3}}},
		{[]string{"ssh", "host", "rm"}, []Risk{{"ssh", 3}}},
		{[]string{"ssh"}, nil},
		{[]string{"python3.12", "-Ic", "print('{}')"}, []Risk{{"python3.12", 2}}},
		{[]string{"/usr/bin/perl", "-le", "print '{}'", "{}"}, []Risk{{"perl", 2}}},
		{[]string{"perl", "-eprint '{}'"}, []Risk{{"perl", 1}}},
		{[]string{"perl", "-le", "print shift", "{}"}, nil},
	} {
		tmpl, err := ParseTemplate(test.argv, TemplateOptions{})
		if err != nil {
			t.Errorf("%q: %v", test.argv, err)
		} else if d := cmp.Diff(test.want, tmpl.Risks, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%q (-want +got):\n%s", test.argv, d)
		}
	}
}

// FuzzTemplate checks that a template changes nothing but its placeholders, and that a
// safe command line is accepted.
func FuzzTemplate(f *testing.F) {
	for _, arg := range []string{"{}", "a{id}b{mail}", "{{id}}", "{x y}", "sh", "-c", `echo "{}" '{id}'`, "[]"} {
		f.Add(arg, "{id}", "{}", "v{}", byte(0))
		f.Add("-c", arg, "[]", "$(x)", byte(2))
		f.Add("sh", "-c", "", arg, byte(4))
	}
	f.Fuzz(func(t *testing.T, one, two, pair, v string, format byte) {
		o := csvOptions
		o.Format = Format(format % 5)
		o.Pair = pair
		for _, argv := range [][]string{{"x", one, two}, {"sh", "-c", one, two}, {"su", "root", one, two}} {
			tmpl, err := ParseTemplate(argv, o)
			if e, ok := errors.AsType[*ScriptError](err); ok && e.Safe != nil {
				if _, err := ParseTemplate(e.Safe, o); err != nil {
					t.Fatalf("%q becomes %q: %v", argv, e.Safe, err)
				}
			}
			if err != nil {
				continue
			}
			it := Item{Raw: v}
			for range tmpl.Fields {
				it.Values = append(it.Values, v)
			}
			got := tmpl.Argv(&it)
			for i, arg := range argv {
				if parts := tmpl.args[i]; !variable(parts) && got[i] != arg {
					t.Fatalf("%q becomes %q", argv, got)
				}
				whole := ""
				for _, s := range tmpl.args[i] {
					whole += s.literal
				}
				if whole != arg {
					t.Fatalf("%q is split as %v", arg, tmpl.args[i])
				}
			}
		}
	})
}

func BenchmarkArgv(b *testing.B) {
	tmpl, err := ParseTemplate([]string{"./x", "--to={mail}", "{id}"}, csvOptions)
	if err != nil {
		b.Fatal(err)
	}
	it := Item{Values: []string{"a@b", "7"}}
	for b.Loop() {
		tmpl.Argv(&it)
	}
}
