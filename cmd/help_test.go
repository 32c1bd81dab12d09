package cmd

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestFlagGroups holds that the manual of idem run shows each of its flags
// under one heading, with an example that uses one of the group.
func TestFlagGroups(t *testing.T) {
	flags := commandNamed(t, "run").LocalFlags()
	var named []string
	for _, g := range flagGroups {
		used := false
		for _, name := range g.flags {
			if flags.Lookup(name) == nil {
				t.Errorf("%s: idem run has no flag --%s", g.title, name)
			}
			if slices.Contains(named, name) {
				t.Errorf("%s: --%s has been shown before", g.title, name)
			}
			named = append(named, name)
			used = used || strings.Contains(g.example, " --"+name)
		}
		if !used {
			t.Errorf("%s: the example shows none of its flags", g.title)
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && !slices.Contains(named, f.Name) {
			t.Errorf("--%s is in no group of help.go", f.Name)
		}
	})
}

// TestManual holds every manual to its width, and its examples to the flags
// that there are.
func TestManual(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		text := manual(c, false)
		examples := false
		for line := range strings.SplitSeq(text, "\n") {
			if n := len([]rune(line)); n > helpWidth {
				t.Errorf("%s: a line has %d characters: %s", c.CommandPath(), n, line)
			}
			examples = line == "Examples:" || examples && line != ""
			if _, call, ok := strings.Cut(line, "  idem "); ok && examples {
				checkCall(t, call)
			}
			if _, call, ok := strings.Cut(line, "Example: idem "); ok {
				checkCall(t, call)
			}
		}
		if c.HasParent() && c.Example == "" && c.Name() != "version" && c.Name() != "help" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&app{}).command(""))
}

// checkCall looks up the flags of an example, what is behind "idem ".
func checkCall(t *testing.T, call string) {
	t.Helper()
	name, rest, _ := strings.Cut(call, " ")
	if strings.ToLower(name) != name { // COMMAND
		return
	}
	c := commandNamed(t, name)
	rest, _, _ = strings.Cut(rest, " -- ")
	rest, _, _ = strings.Cut(rest, " && ")
	for word := range strings.FieldsSeq(rest) {
		if flag, ok := strings.CutPrefix(word, "--"); ok && flag != "" {
			flag, _, _ = strings.Cut(flag, "=")
			if f := c.Flags().Lookup(flag); f == nil || f.Hidden {
				t.Errorf("idem %s has no flag --%s: %s", name, flag, call)
			}
		}
	}
}

func commandNamed(t *testing.T, name string) *cobra.Command {
	t.Helper()
	c, rest, err := (&app{}).command("").Find([]string{name})
	if err != nil || len(rest) > 0 || c.Name() != name {
		t.Fatalf("there is no command %s", name)
	}
	c.InheritedFlags() // merges
	return c
}

// TestShortHelp holds the short help of idem run to two screens, and its flags to
// those that there are.
func TestShortHelp(t *testing.T) {
	run := commandNamed(t, "run")
	text := manual(run, true)
	if n := strings.Count(text, "\n"); n > 48 {
		t.Errorf("idem run -h has %d lines, want at most 48:\n%s", n, text)
	}
	for _, name := range dailyFlags {
		if !strings.Contains(text, "--"+name) {
			t.Errorf("idem run -h lacks --%s", name)
		}
	}
	for _, args := range [][]string{{"run", "-h"}, {"run", "-qh"}, {"-h"}} {
		if !wantsShort(args) {
			t.Errorf("%q does not get the short help", args)
		}
	}
	for _, args := range [][]string{{"run", "--help"}, {"help", "run"}, {}, {"run", "--help", "-h"}} {
		if wantsShort(args) {
			t.Errorf("%q gets the short help", args)
		}
	}
}

// TestTopics holds that each topic has a page, and that none has the name of a
// command.
func TestTopics(t *testing.T) {
	root := (&app{}).command("")
	names := topics()
	for _, topic := range textTopics {
		names = append(names, topic.topic)
	}
	list := manual(root, true)
	for _, name := range names {
		if topicHelp(root, name) == "" || !strings.Contains(list, "\n  "+name+" ") {
			t.Errorf("topic %s has no page, or idem help does not list it", name)
		}
		if slices.ContainsFunc(commands, func(c command) bool { return c.name == name }) {
			t.Errorf("topic %s has the name of a command", name)
		}
	}
}

// TestCommandExits holds that the help of each command names its exit statuses.
func TestCommandExits(t *testing.T) {
	for _, c := range commands {
		rows := exitsOf(c.name)
		if len(rows) == 0 {
			t.Errorf("idem %s has no exit statuses in its help", c.name)
		}
		for _, row := range rows {
			if row.meaning == "" {
				t.Errorf("idem %s: status %s has no meaning", c.name, row.code)
			}
		}
	}
}

// TestClosest holds which misspellings are recognized.
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
