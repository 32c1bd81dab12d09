package cmd

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var updateDocs = flag.Bool("update-docs", false, "rewrite docs/cli.md")

// TestCLIReference holds docs/cli.md, which is the help of every command, to
// the program. `go test ./cmd -run CLIReference -update-docs` writes it.
func TestCLIReference(t *testing.T) {
	const file = "../docs/cli.md"
	var b bytes.Buffer
	b.WriteString("# Command line reference\n\nGenerated from the program's own help; a test compares the two.\n")
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" {
			return
		}
		var help bytes.Buffer
		c.SetOut(&help)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n", c.CommandPath(), strings.TrimSpace(help.String()))
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&app{}).command(""))
	if *updateDocs {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), b.String()); diff != "" {
		t.Errorf("docs/cli.md is not what the program says (-file +program); go test ./cmd -run CLIReference -update-docs mends it:\n%s", diff)
	}
}

// TestREADMEExitStatus holds the table in the README to the one in the help.
func TestREADMEExitStatus(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(readme), "`", "")
	for _, row := range exitTable {
		if row.code == "126" || row.code == "127" { // one row there
			continue
		}
		if want := fmt.Sprintf("| %s | %s |", row.code, row.meaning); !strings.Contains(text, want) {
			t.Errorf("README.md has no row %q", want)
		}
	}
}
