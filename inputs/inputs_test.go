package inputs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"idem/hashkey"
)

// fakeSource is a ledger with a secret. It makes scratch files below dir, none if dir
// is empty.
type fakeSource struct {
	dir   string
	asked bool // whether Secret was called
}

func (s *fakeSource) Secret(context.Context) ([]byte, error) {
	s.asked = true
	return []byte("secret"), nil
}

func (s *fakeSource) Scratch() (*os.File, error) {
	if s.dir == "" {
		return nil, nil
	}
	return os.Create(filepath.Join(s.dir, "scratch"))
}

func process(env ...string) Process {
	return Process{
		Environ: func() []string { return env },
		Dir:     func() (string, error) { return "/work", nil },
	}
}

func ExampleSpec_Collect() {
	spec := Spec{Ignore: []string{"^--verbose$"}, Cwd: true, Values: []string{"release=8471"}}
	in, _, err := spec.Collect(context.Background(), []string{"deploy", "--verbose", "prod"}, process(), &fakeSource{})
	if err != nil {
		panic(err)
	}
	for _, p := range in {
		fmt.Println(p.Kind, p.Name, string(p.Value))
	}
	fmt.Println(DeriveKey("default", "/work", in))
	// Output:
	// arg  deploy
	// arg  prod
	// cwd  /work
	// value release 8471
	// auto:3978d29df387d14c6a730d82ae2dfc99
}

func TestCollect(t *testing.T) {
	plant(t, "a.txt", "d/b.txt")
	for _, test := range []struct {
		name string
		spec Spec
		env  []string
		want string // kinds and names
	}{
		{"nothing but the arguments", Spec{}, nil, "arg: arg:"},
		{"no arguments", Spec{NoArgs: true, Cwd: true}, nil, "cwd:"},
		{"the command is not ignored", Spec{Ignore: []string{"cmd|x"}}, nil, "arg:"},
		{"a variable", Spec{NoArgs: true, Env: []string{"A"}}, []string{"A=1", "B=2"}, "env:A"},
		{"a pattern of variables", Spec{NoArgs: true, Env: []string{"A_*"}}, []string{"A_2=x", "B=2", "A_1=y"}, "env:A_1 env:A_2"},
		{"an unset variable", Spec{NoArgs: true, Env: []string{"A"}}, nil, "env:A"},
		{"a value twice", Spec{NoArgs: true, Values: []string{"a=1", "a=1", "a=2"}}, nil, "value:a value:a"},
		{"files", Spec{NoArgs: true, Files: []string{"a.txt"}, Optional: []string{"none"}}, nil, "file:a.txt file:none"},
		{"a directory", Spec{NoArgs: true, Files: []string{"d"}}, nil, "+tree:d file:d"},
		{"a pattern of files", Spec{NoArgs: true, Files: []string{"**/*.txt"}}, nil, "file:a.txt file:d/b.txt"},
	} {
		in, _, err := test.spec.Collect(t.Context(), []string{"cmd", "x"}, process(test.env...), &fakeSource{})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		var got []string
		for _, p := range in {
			got = append(got, string(p.Kind)+":"+p.Name)
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%s: got %q, want %q", test.name, text, test.want)
		}
	}
}

// The error of a refused flag has its problem, but never a value that may be a secret.
// A flag is refused before Secret is called.
func TestCollectRefuses(t *testing.T) {
	plant(t, "a", "x1", "x[1]")
	const env = "PASSWORD=hunter2"
	for _, test := range []struct {
		spec    Spec
		flag    string
		problem Problem
		value   string
	}{
		{Spec{Ignore: []string{"("}}, "--hash-ignore", Failed, ""},
		{Spec{Ignore: []string{""}}, "--hash-ignore", MatchesAll, ""},
		{Spec{Ignore: []string{".*"}}, "--hash-ignore", MatchesAll, ".*"},
		{Spec{Values: []string{"hunter2"}}, "--hash-value", NotAssignment, ""},
		{Spec{Values: []string{"=hunter2"}}, "--hash-value", NotAssignment, ""},
		{Spec{Env: []string{""}}, "--hash-env", Empty, ""},
		{Spec{Env: []string{"hunter2"}}, "--hash-env", ValueOfVariable, "PASSWORD"},
		{Spec{Env: []string{"A, B"}}, "--hash-env", ManyVariables, ""},
		{Spec{Env: []string{"**"}}, "--hash-env", AnyVariable, ""},
		{Spec{Env: []string{"a-b"}}, "--hash-env", NotVariable, ""},
		{Spec{Files: []string{""}}, "--hash-file", Empty, ""},
		{Spec{Optional: []string{""}}, "--hash-file-optional", Empty, ""},
		{Spec{Files: []string{"["}}, "--hash-file", Failed, ""},
		{Spec{Files: []string{"/dev/null"}}, "--hash-file", Failed, ""},
	} {
		src := &fakeSource{}
		test.spec.Env = append(test.spec.Env, "PASSWORD")
		_, _, err := test.spec.Collect(t.Context(), []string{"cmd"}, process(env), src)
		var got *Error
		if !errors.As(err, &got) || got.Flag != test.flag || got.Problem != test.problem || got.Value != test.value {
			t.Errorf("%+v: got %#v, want %s, problem %d, value %q", test.spec, err, test.flag, test.problem, test.value)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the value: %v", err)
		}
		if src.asked {
			t.Errorf("%v: the secret was asked for", err)
		}
	}
}

func TestCollectStdin(t *testing.T) {
	for _, test := range []struct {
		name    string
		limit   int64
		scratch bool
		problem Problem // Failed: none
		kept    string
	}{
		{name: "kept for the command", limit: 4, scratch: true, kept: "1234"},
		{name: "not kept", limit: -1},
		{name: "too much", limit: 3, scratch: true, problem: TooMuch},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "stdin")
			if err := os.WriteFile(path, []byte("1234"), 0o600); err != nil {
				t.Fatal(err)
			}
			p, src := process(), &fakeSource{}
			p.Stdin, _ = os.Open(path)
			defer p.Stdin.Close()
			if test.scratch {
				src.dir = dir
			}
			spec := Spec{NoArgs: true, Stdin: true, MaxStdin: test.limit}
			in, stdin, err := spec.Collect(t.Context(), nil, p, src)
			if test.problem != Failed {
				var got *Error
				if !errors.As(err, &got) || got.Problem != test.problem || got.Value != "3" {
					t.Errorf("got %v, want problem %d of 3 bytes", err, test.problem)
				}
				return
			}
			if err != nil || len(in) != 1 || in[0].Kind != hashkey.KindStdin {
				t.Fatalf("got %v, %v, want one input of stdin", in, err)
			}
			if !test.scratch {
				if stdin != nil {
					t.Errorf("got a file for the command, want none")
				}
				return
			}
			defer stdin.Close()
			kept := make([]byte, 10)
			if n, _ := stdin.Read(kept); string(kept[:n]) != test.kept {
				t.Errorf("the command reads %q, want %q", kept[:n], test.kept)
			}
		})
	}
}

// Without --hash-stdin, the command gets the caller's stdin, unread.
func TestCollectLeavesStdin(t *testing.T) {
	p := process()
	p.Stdin = os.Stdin
	_, stdin, err := (&Spec{}).Collect(t.Context(), []string{"cmd"}, p, &fakeSource{})
	if err != nil || stdin != os.Stdin {
		t.Errorf("got %v, %v, want the caller's stdin", stdin, err)
	}
}

func TestMissing(t *testing.T) {
	plant(t, "a")
	spec := Spec{
		Files: []string{"none", "a", "none", "*.none", "absent"}, Optional: []string{"absent"},
		Env: []string{"SET", "UNSET", "UNSET_*"},
	}
	in, _, err := spec.Collect(t.Context(), []string{"cmd"}, process("SET="), &fakeSource{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Missing{
		{hashkey.KindFile, "*.none", true},
		{hashkey.KindFile, "none", false},
		{hashkey.KindEnv, "UNSET", false},
		{hashkey.KindEnv, "UNSET_*", true},
	}
	if got := spec.Missing(in); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEnviron(t *testing.T) {
	env := Environ{"A=1", "EMPTY=", "=C:=x", "EQ=a=b", "BAD"}
	for _, test := range []struct {
		name, want string
		set        bool
	}{{"A", "1", true}, {"EMPTY", "", true}, {"EQ", "a=b", true}, {"", "", false}, {"BAD", "", false}, {"NONE", "", false}} {
		if got, set := env.Lookup(test.name); got != test.want || set != test.set {
			t.Errorf("%q: got %q, %v, want %q, %v", test.name, got, set, test.want, test.set)
		}
	}
}

func TestDrifts(t *testing.T) {
	plant(t, "old.sh", "new.sh")
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write("old.sh", "#!/bin/sh\necho old\n")
	write("new.sh", "#!/bin/sh\necho new\n")
	was := Programs("old.sh", []string{"./old.sh"})
	check := func(name string, now hashkey.Inputs, want ...Drift) {
		t.Helper()
		if got := Drifts(was, now); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	check("the same", Programs("old.sh", []string{"./old.sh"}))
	check("another file", Programs("new.sh", []string{"./new.sh"}), Drift{Replaced, "new.sh", "old.sh"})
	check("no program, and the file exists", nil)
	write("old.sh", "#!/bin/sh\necho edited\n")
	check("edited", Programs("old.sh", []string{"./old.sh"}), Drift{Edited, "old.sh", "old.sh"})
	if err := os.Remove("old.sh"); err != nil {
		t.Fatal(err)
	}
	check("removed", nil, Drift{Gone, "old.sh", "old.sh"})

	write("new.sh", "#!/bin/sh\n"+strings.Repeat("#", maxScript))
	was = Programs("new.sh", []string{"./new.sh"})
	write("new.sh", "#!/bin/sh\n"+strings.Repeat("#", maxScript+1))
	check("too large for a digest", Programs("new.sh", []string{"./new.sh"}), Drift{Touched, "new.sh", "new.sh"})
}
