package cmd

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"idem/internal/testkit"
)

// TestCLIReference compares docs/cli.md, the help of every command, with the
// program. `go test ./cmd -run CLIReference -update` writes the page.
func TestCLIReference(t *testing.T) {
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
	testkit.Golden(t, "../docs/cli.md", b.Bytes())
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
