package cmd

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestFlagGroups checks that the manual of idem run shows each of its flags
// under one heading, with an example that uses a flag of the group.
func TestFlagGroups(t *testing.T) {
	flags := commandNamed(t, "run").LocalFlags()
	var named []string
	for _, g := range flagGroups {
		used := false
		for _, name := range g.flags {
			if flags.Lookup(name) == nil {
				t.Errorf("%s: got --%s, want a flag of idem run", g.title, name)
			}
			if slices.Contains(named, name) {
				t.Errorf("%s: got --%s again, want each flag once", g.title, name)
			}
			named = append(named, name)
			used = used || strings.Contains(g.example, " --"+name)
		}
		_, call, _ := strings.Cut(g.example, "idem ")
		checkCall(t, call)
		if !used {
			t.Errorf("%s: got an example without flags of the group, want one with them", g.title)
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && !slices.Contains(named, f.Name) {
			t.Errorf("--%s: got no group in help.go, want one", f.Name)
		}
	})
}

// TestEachGroups checks that the manual of idem each shows each of its flags once, below the
// heading of a group.
func TestEachGroups(t *testing.T) {
	each := commandNamed(t, "each")
	text := manual(each, false)
	if strings.Contains(text, "\nFlags:\n") {
		t.Error("idem each --help has flags below the heading Flags, want each in a group")
	}
	for _, f := range visibleFlags(each.LocalFlags()) {
		head := "\n" + flagHead(f) // the text follows in the same line, or in the next one
		if n := strings.Count(text, head+" ") + strings.Count(text, head+"\n"); n != 1 {
			t.Errorf("idem each --help has --%s %d times, want once", f.Name, n)
		}
	}
	for _, g := range eachGroups {
		for _, name := range g.flags {
			if each.Flags().Lookup(name) == nil {
				t.Errorf("%s: got --%s, want a flag of idem each", g.title, name)
			}
			if got := topicOf(name); g.topic != "" && got == "" {
				t.Errorf("idem help %s: got no page, want one", name)
			}
		}
	}
}

// TestManual checks that every manual fits its width, and that its examples use
// existing flags.
func TestManual(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		text := manual(c, false)
		examples := false
		for line := range strings.SplitSeq(text, "\n") {
			if n := len([]rune(line)); n > helpWidth {
				t.Errorf("%s: got a line of %d characters, want at most %d: %s", c.CommandPath(), n, helpWidth, line)
			}
			examples = line == "Examples:" || examples && line != ""
			if _, call, ok := strings.Cut(line, "  idem "); ok && examples {
				checkCall(t, call)
			}
		}
		if c.HasParent() && c.Example == "" && pathOf(c) != "version" && pathOf(c) != "help" {
			t.Errorf("%s: got no example, want one", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&app{}).command(""))
}

// TestTopicsFit checks that the pages of topics fit 80 columns.
func TestTopicsFit(t *testing.T) {
	whole := strings.Split(scriptLines, "\n") // a person may copy it
	root := (&app{}).command("")
	pages := map[string]string{}
	for _, g := range flagGroups {
		pages["help "+g.topic] = topicHelp(root, g.topic)
	}
	for _, topic := range textTopics {
		pages["help "+topic.topic] = topicHelp(root, topic.topic)
	}
	for name, text := range pages {
		if text == "" {
			t.Errorf("%s: got no page, want one", name)
		}
		for line := range strings.SplitSeq(text, "\n") {
			if n := cells(line); n > helpWidth && !slices.Contains(whole, strings.TrimSpace(line)) {
				t.Errorf("%s: got a line of %d cells, want at most %d: %s", name, n, helpWidth, line)
			}
		}
	}
}

// checkCall checks that the flags of an example exist. call is the text after
// "idem ".
func checkCall(t *testing.T, call string) {
	t.Helper()
	name, rest, _ := strings.Cut(call, " ")
	if strings.ToLower(name) != name { // a placeholder such as COMMAND
		return
	}
	if strings.HasPrefix(name, "-") { // of every command
		_, rest, _ = strings.Cut(rest, " ")
		name, rest, _ = strings.Cut(rest, " ")
	}
	c := commandNamed(t, name)
	if c.HasSubCommands() {
		below, after, _ := strings.Cut(rest, " ")
		c, rest = commandNamed(t, name, below), after
	}
	rest, _, _ = strings.Cut(rest, " -- ")
	rest, _, _ = strings.Cut(rest, " && ")
	for word := range strings.FieldsSeq(rest) {
		if flag, ok := strings.CutPrefix(word, "--"); ok && flag != "" {
			flag, _, _ = strings.Cut(flag, "=")
			if f := c.Flags().Lookup(flag); f == nil || f.Hidden {
				t.Errorf("%s: got --%s, want a visible flag of %s", call, flag, c.CommandPath())
			}
		}
	}
}

func commandNamed(t *testing.T, names ...string) *cobra.Command {
	t.Helper()
	c, rest, err := (&app{}).command("").Find(names)
	if err != nil || len(rest) > 0 || pathOf(c) != strings.Join(names, " ") {
		t.Fatalf("got no command %q, want one", names)
	}
	c.InheritedFlags() // merges the flags of the parents
	return c
}

// TestLongHelp checks that the help of idem run stays a list of flags: the pages of the
// topics explain them.
func TestLongHelp(t *testing.T) {
	text := manual(commandNamed(t, "run"), false)
	if n := strings.Count(text, "\n"); n > 300 {
		t.Errorf("idem run --help has %d lines, want at most 300", n)
	}
}

// TestShortHelp checks that the short help of idem run fits two screens and
// that its flags exist.
func TestShortHelp(t *testing.T) {
	run := commandNamed(t, "run")
	text := manual(run, true)
	if n := strings.Count(text, "\n"); n > 49 {
		t.Errorf("idem run -h has %d lines, want at most 49:\n%s", n, text)
	}
	for _, name := range dailyFlags {
		if !strings.Contains(text, "--"+name) {
			t.Errorf("idem run -h: got no --%s, want it", name)
		}
	}
	for _, args := range [][]string{{"run", "-h"}, {"run", "-qh"}, {"-h"}} {
		if !wantsShort(args) {
			t.Errorf("%q: got the long help, want the short one", args)
		}
	}
	for _, args := range [][]string{{"run", "--help"}, {"help", "run"}, {}, {"run", "--help", "-h"}} {
		if wantsShort(args) {
			t.Errorf("%q: got the short help, want the long one", args)
		}
	}
}

// topicWidth is the maximum width of a line of a topic, which has tables and scripts.
const topicWidth = 100

// TestTopics checks that each topic has a page, and that no topic has the name
// of a command.
func TestTopics(t *testing.T) {
	root := (&app{}).command("")
	names := topics()
	for _, topic := range textTopics {
		names = append(names, topic.topic)
	}
	list := manual(root, true)
	for _, name := range names {
		for line := range strings.Lines(topicHelp(root, name)) {
			if n := len([]rune(line)); n > topicWidth+1 && !strings.HasPrefix(line, "  Example: ") {
				t.Errorf("topic %s: got a line of %d characters, want at most %d: %s", name, n-1, topicWidth, line)
			}
		}
		if topicHelp(root, name) == "" || !strings.Contains(list, "\n  "+name+" ") {
			t.Errorf("topic %s: got no page or no line in idem help, want both", name)
		}
		if slices.ContainsFunc(commands, func(c command) bool { return c.name == name }) {
			t.Errorf("topic %s: got the name of a command, want another one", name)
		}
	}
}

// TestCommandExits checks that the help of each command names its exit
// statuses.
func TestCommandExits(t *testing.T) {
	var walk func(path string, table []command)
	walk = func(path string, table []command) {
		for _, c := range table {
			walk(path+c.name+" ", c.below)
			rows := exitsOf(path + c.name)
			if len(rows) == 0 && c.below == nil {
				t.Errorf("idem %s%s: got no exit statuses in the help, want them", path, c.name)
			}
			for _, row := range rows {
				if row.meaning == "" {
					t.Errorf("idem %s%s: status %s: got no meaning, want one", path, c.name, row.code)
				}
			}
		}
	}
	walk("", commands)
}

// TestClosest checks which misspellings are recognized.
func TestClosest(t *testing.T) {
	var names []string
	for _, c := range commands {
		names = append(names, c.name)
	}
	for word, want := range map[string]string{
		"lst": "list", "runn": "run", "chekc": "check", "expl": "explain", "forgot": "forget", "completions": "completion",
		"ls": "", "true": "", "bogus": "", "deploy": "", "": "", strings.Repeat("run", 100): "",
	} {
		if got := closest(word, names); got != want {
			t.Errorf("closest(%q) = %q, want %q", word, got, want)
		}
	}
}
