package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpCommand returns idem help. Unlike cobra's help command, it has topics, and
// help for an unknown command is an error.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND | TOPIC]",
		Short: "Print the help of a command or a topic",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.print(manual(c.Root(), true))
			}
			if len(args) == 1 {
				if text := topicHelp(c.Root(), args[0]); text != "" {
					return a.print(text)
				}
			}
			if sub, rest, err := c.Root().Find(args); err == nil && len(rest) == 0 {
				return sub.Help()
			}
			if topic := topicOf(args[0]); len(args) == 1 && topic != "" {
				return a.print(topicHelp(c.Root(), topic))
			}
			return noTopic(args)
		},
	}
}

// noTopic returns the error of idem help for words that are neither a command nor a
// topic.
func noTopic(args []string) error {
	f := usage("no help for %s", quoteWord(strings.Join(args, " ")))
	var names []string
	for _, c := range commands {
		names = append(names, c.name)
	}
	for _, g := range flagGroups {
		names = append(names, g.topic)
	}
	for _, t := range textTopics {
		names = append(names, t.topic)
	}
	if name := closest(strings.Join(args, " "), names); name != "" {
		return f.hint("did you mean: idem help %s", name)
	}
	return f.hint("to see the commands and topics: idem help")
}

// topicOf returns the topic that has a flag of idem run or idem each, "" if there is none.
func topicOf(flag string) string {
	for _, g := range slices.Concat(flagGroups, eachGroups) {
		if slices.Contains(g.flags, flag) {
			return g.topic
		}
	}
	return ""
}

// topicHelp returns the page of a topic, "" if there is no such topic.
func topicHelp(root *cobra.Command, topic string) string {
	for _, t := range textTopics {
		if t.topic == topic {
			return t.title + ":\n" + t.text()
		}
	}
	for _, g := range flagGroups {
		if g.topic != topic {
			continue
		}
		run, _, err := root.Find([]string{"run"})
		if err != nil {
			return ""
		}
		flags := visibleFlags(run.LocalFlags())
		return g.title + ":\n" + noteText(g.note) + "\n\n" + flagList(flags, g.flags, flagColumn(withNames(flags, g.flags))) +
			"\n" + indent("Example: "+g.example) + "\n"
	}
	return ""
}

// wantsShort reports whether a call asks for the short help with -h.
func wantsShort(args []string) bool {
	for _, arg := range args {
		switch {
		case arg == "--help", arg == "--":
			return false
		case len(arg) > 1 && arg[0] == '-' && arg[1] != '-' && strings.HasSuffix(arg, "h"):
			return true
		}
	}
	return false
}

// manual returns the help of a command. The help of idem run and of idem each lists the flags
// by topic; the pages of the topics explain them. Its short form has only the common flags. The
// short form for idem has neither exit statuses nor the environment.
func manual(c *cobra.Command, short bool) string {
	var b strings.Builder
	section := func(title string, parts ...string) {
		begun := false
		for _, part := range parts {
			if part = strings.Trim(part, "\n"); part == "" {
				continue
			}
			if !begun {
				fmt.Fprintf(&b, "\n%s:\n", title)
			} else {
				b.WriteString("\n")
			}
			begun = true
			b.WriteString(part + "\n")
		}
	}
	run := c.Name() == "run"
	short = short && (run || !c.HasParent())
	text := longOf(c)
	if short && run {
		text = c.Short
	}
	b.WriteString(strings.TrimSpace(text) + "\n")
	section("Usage", "  "+usageLine(c))
	section("Examples", c.Example)
	section("Commands", commandList(c))
	if !c.HasParent() {
		section("Help topics (idem help TOPIC)", topicList())
	}
	own := visibleFlags(c.LocalFlags())
	shared := visibleFlags(c.InheritedFlags())
	column := max(flagColumn(own), flagColumn(shared))
	flagSections := func(groups []flagGroup) {
		for _, g := range groups {
			title := g.title
			if g.topic != "" {
				title += " (idem help " + g.topic + ")"
			}
			section(title, flagList(own, g.flags, column))
		}
	}
	switch {
	case run && short:
		daily := withNames(own, dailyFlags)
		section("Common flags", flagList(daily, dailyFlags, flagColumn(daily)))
		section("More flags, by topic (idem help TOPIC)", indent(strings.Join(wrapText(strings.Join(topics(), ", "), helpWidth-2), "\n")))
		b.WriteString("\nTo see all flags: idem run --help\n")
		return b.String()
	case run:
		flagSections(flagGroups)
	case c.Name() == "each":
		flagSections(eachGroups)
		own = slices.DeleteFunc(own, func(f *pflag.Flag) bool { return inGroup(eachGroups, f.Name) })
		flagSections(flagGroups)
	case c.Annotations[asksAnnotation] != "":
		section("Flags", flagList(own, ungrouped(own), column))
		section(c.Annotations[asksAnnotation], groupNames(own))
	default:
		section("Flags", flagList(own, flagNamesOf(own), column))
	}
	section("Flags of every command", flagList(shared, flagNamesOf(shared), column))
	switch {
	case short:
		b.WriteString("\nTo see the help of a command: idem COMMAND --help\n")
	case run || !c.HasParent():
		for _, t := range textTopics {
			if !t.apart {
				section(t.title, t.text())
			}
		}
	default:
		section("Exit status", exitList(exitsOf(c.Name())))
	}
	return b.String()
}

// topics returns the names of the groups of flags.
func topics() []string {
	var names []string
	for _, g := range flagGroups {
		names = append(names, g.topic)
	}
	return names
}

func topicList() string {
	var b strings.Builder
	for _, g := range flagGroups {
		fmt.Fprintf(&b, "  %-13s%s\n", g.topic, flagNames(g.flags))
	}
	for _, t := range textTopics {
		fmt.Fprintf(&b, "  %-13s%s\n", t.topic, t.about)
	}
	return b.String()
}

// flagNames lists flags by name, as many as fit on a line of topics.
func flagNames(names []string) string {
	lines := wrapText("--"+strings.Join(names, ", --"), helpWidth-20)
	if len(lines) > 1 {
		return lines[0] + " ..."
	}
	return lines[0]
}

// groupNames lists the names of the flags that a command shares with idem run, by
// group.
func groupNames(flags []*pflag.Flag) string {
	var rows []helpRow
	for _, g := range flagGroups {
		var names []string
		for _, f := range withNames(flags, g.flags) {
			names = append(names, "--"+f.Name)
		}
		if names != nil {
			rows = append(rows, helpRow{"  " + g.title + ":", strings.Join(names, ", ")})
		}
	}
	return helpRows(rows, 22)
}

// withNames returns the flags with one of the names.
func withNames(flags []*pflag.Flag, names []string) []*pflag.Flag {
	return slices.DeleteFunc(slices.Clone(flags), func(f *pflag.Flag) bool { return !slices.Contains(names, f.Name) })
}

func longOf(c *cobra.Command) string {
	if c.Long == "" {
		return c.Short
	}
	return c.Long
}

func usageLine(c *cobra.Command) string {
	if c.HasAvailableSubCommands() {
		return c.CommandPath() + " COMMAND"
	}
	if strings.Contains(c.Use, "flags]") {
		return c.Root().Name() + " " + c.Use
	}
	return c.UseLine()
}

func commandList(c *cobra.Command) string {
	var b strings.Builder
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(&b, "  %-12s%s\n", sub.Name(), sub.Short)
		}
	}
	return b.String()
}
