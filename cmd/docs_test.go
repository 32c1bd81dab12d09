package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"idem/internal/testkit"
)

// TestCLIReference compares docs/cli.md with the help of every command. `go
// test ./cmd -run CLIReference -update` writes the page.
func TestCLIReference(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# Command line reference\n\nGenerated from the program's own help; a test compares the two.\n")
	root := (&app{}).command("")
	walkCommands(root, func(c *cobra.Command) {
		var help bytes.Buffer
		c.SetOut(&help)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n", c.CommandPath(), strings.TrimSpace(help.String()))
	})
	pages := topics()
	for _, t := range textTopics {
		if t.apart {
			pages = append(pages, t.topic)
		}
	}
	for _, topic := range pages {
		fmt.Fprintf(&b, "\n## idem help %s\n\n```\n%s\n```\n", topic, strings.TrimSpace(topicHelp(root, topic)))
	}
	testkit.Golden(t, "../docs/cli.md", b.Bytes())
}

// TestExitStatusTable checks that the guide has each row of the table in the help.
func TestExitStatusTable(t *testing.T) {
	guide, err := os.ReadFile("../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(guide), "`", "")
	for _, row := range exitTable {
		if want := fmt.Sprintf("| %s | %s |", row.code, row.meaning); !strings.Contains(text, want) {
			t.Errorf("docs/guide.md: got no row %q, want it", want)
		}
	}
}

// TestAgentsHaveEveryStatus checks that docs/agents.md says for each row of the table in the help
// what a caller does.
func TestAgentsHaveEveryStatus(t *testing.T) {
	page, err := os.ReadFile("../docs/agents.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range exitTable {
		if want := "\n| " + row.code + " | "; !strings.Contains(string(page), want) {
			t.Errorf("docs/agents.md: got no row of %s (%s), want one", row.code, row.meaning)
		}
	}
}

// TestGuideHasEveryJSONField checks that the guide names each field of the object of idem
// run --json, and no other.
func TestGuideHasEveryJSONField(t *testing.T) {
	guide, err := os.ReadFile("../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	b, err := marshalLine(answerView{})
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(guide), "| field |")
	table, _, _ = strings.Cut(table, "\n\n")
	got := map[string]bool{}
	for line := range strings.Lines(table) {
		names, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		for name := range strings.SplitSeq(names, ", ") {
			name, named := strings.CutPrefix(strings.TrimSuffix(name, "`"), "`")
			if _, known := want[name]; named && !known {
				t.Errorf("docs/guide.md: got the field %s, which the object lacks", name)
			}
			got[name] = true
		}
	}
	for name := range want {
		if !got[name] {
			t.Errorf("docs/guide.md: got no row for the field %s, want one", name)
		}
	}
}

// TestGuideHasEveryEvent checks that the guide names each field of the events and of the
// summary of idem each, and each of their words.
func TestGuideHasEveryEvent(t *testing.T) {
	guide, err := os.ReadFile("../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(guide), "**Events.**")
	var words []string
	for _, v := range []any{eventView{}, callView{}, eachView{}, attemptView{}} {
		for f := range reflect.TypeOf(v).Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				words = append(words, name)
			}
		}
	}
	words = slices.Concat(words, verdictNames[:], stopNames[:], fateNames[:])
	for _, word := range words {
		if word != "" && !strings.Contains(text, "`"+word+"`") {
			t.Errorf("docs/guide.md: got no %q after the heading of events, want it", word)
		}
	}
}
