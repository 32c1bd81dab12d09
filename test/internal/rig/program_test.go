package rig

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository makes a git repository with one commit of the files. It becomes the working
// directory.
func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git: not found")
	}
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range files {
		if err := Write(filepath.Join(dir, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"init", "-q"},
		{"add", "-A"},
		{"-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "-q", "-m", "first"},
	} {
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v: %s", args, err, out)
		}
	}
	return dir
}

func TestFiguresOfAChangedTreeAreRefused(t *testing.T) {
	dir := repository(t, map[string]string{"main.go": "package main\n"})
	file := filepath.Join(dir, Figures, "chaos.jsonl")
	if err := MayKeep(file, ""); err != nil {
		t.Errorf("clean tree: %v", err)
	}
	if err := Write(file, []byte("{}\n")); err != nil {
		t.Fatal(err)
	}
	if err := MayKeep(file, ""); err != nil {
		t.Errorf("new figures: %v", err)
	}
	if err := os.WriteFile("main.go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MayKeep(file, ""); !errors.Is(err, ErrDirty) {
		t.Errorf("changed tree: got %v, want %v", err, ErrDirty)
	}
	p := NewProgram("chaos", Part{Name: "kill"})
	p.Flags.Bool("quick", false, "")
	if err := p.Parse([]string{"--json", file, "kill"}); !errors.Is(err, ErrDirty) {
		t.Errorf("full run: got %v, want %v", err, ErrDirty)
	}
	for _, args := range [][]string{{"kill"}, {"--quick", "--json", file}, {"--json", file, "--idem", "/bin/true"}} {
		p := NewProgram("chaos", Part{Name: "kill"})
		p.Flags.Bool("quick", false, "")
		if err := p.Parse(args); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestProofRefusesAChangedTree(t *testing.T) {
	files := map[string]string{"go.mod": "module test\n"}
	for _, name := range []string{"scripts/proof", "scripts/lib.sh"} {
		b, err := os.ReadFile(filepath.Join("../../..", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(b)
	}
	dir := repository(t, files)
	if err := os.WriteFile("go.mod", []byte("module changed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("bash", filepath.Join(dir, "scripts/proof"), "load").CombinedOutput()
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "commit or stash the changes first") || strings.Count(string(out), "\n") != 1 {
		t.Errorf("got %v, want exit status 2 and one line:\n%s", err, out)
	}
}
