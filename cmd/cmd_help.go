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
				return a.printPage(manual(c.Root(), true))
			}
			if len(args) == 1 {
				if text := topicHelp(c.Root(), args[0]); text != "" {
					return a.printPage(text)
				}
			}
			if sub, rest, err := c.Root().Find(args); err == nil && len(rest) == 0 {
				return sub.Help()
			}
			if topic := topicOf(args[0]); len(args) == 1 && topic != "" {
				return a.printPage(topicHelp(c.Root(), topic))
			}
			return noTopic(args)
		},
	}
}

// noTopic returns the error of idem help for words that are neither a command nor a
// topic.
func noTopic(args []string) error {
	f := usage("no help for %s", quoteWord(strings.Join(args, " ")))
	if name := closest(strings.Join(args, " "), helpNames()); name != "" {
		return f.hint("did you mean: idem help %s", name)
	}
	return f.hint("to see the commands and topics: idem help")
}

// helpNames returns the commands and topics that idem help can explain.
func helpNames() []string {
	var names []string
	for _, c := range commands {
		names = append(names, c.name)
		for _, below := range c.below {
			names = append(names, c.name+" "+below.name)
		}
	}
	for _, g := range flagGroups {
		names = append(names, g.topic)
	}
	for _, t := range textTopics {
		names = append(names, t.topic)
	}
	return names
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
			"\n" + indent(exampleText(g.example)) + "\n"
	}
	return ""
}

// exampleText returns the example of a page. A command that does not fit one line has its own.
func exampleText(line string) string {
	const title, margin = "Example:", "  "
	if len(margin+title+" "+line) <= helpWidth {
		return title + " " + line
	}
	if len(margin+margin+line) > helpWidth {
		line = strings.Replace(line, " -- ", " \\\n"+margin+margin+"-- ", 1)
	}
	return title + "\n" + margin + line
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
	section("Commands", commandLists(c)...)
	if !c.HasParent() {
		section("Help topics (idem help TOPIC)", topicList())
	}
	own := visibleFlags(c.LocalFlags())
	shared := visibleFlags(c.InheritedFlags())
	column := max(flagColumn(own), flagColumn(shared))
	if short && run {
		daily := withNames(own, dailyFlags)
		section("Common flags", flagList(daily, dailyFlags, flagColumn(daily)))
		section("More flags, by topic (idem help TOPIC)", indent(strings.Join(wrapText(strings.Join(topics(), ", "), helpWidth-2), "\n")))
		b.WriteString("\nTo see all flags: idem run --help\n")
		return b.String()
	}
	for _, s := range flagSections(c) {
		switch {
		case s.named:
			section(s.title, groupNames(own))
		case s.group != nil && s.group.topic != "":
			section(s.title+" (idem help "+s.group.topic+")", flagList(s.flags, s.names, column))
		default:
			section(s.title, flagList(s.flags, s.names, column))
		}
	}
	switch {
	case short || c.HasParent() && c.HasSubCommands():
		fmt.Fprintf(&b, "\nTo see the help of a command: %s COMMAND --help\n", c.CommandPath())
	case run || !c.HasParent():
		for _, t := range textTopics {
			if !t.apart {
				section(t.title, t.text())
			}
		}
	default:
		section("Exit status", exitList(exitsOf(pathOf(c))))
	}
	return b.String()
}

// flagSection is a part of the help of a command with flags.
type flagSection struct {
	title string
	flags []*pflag.Flag
	names []string   // of the flags, in order
	group *flagGroup // its flags, or nil
	named bool       // only the names are listed
}

// flagSections returns the parts of the help of a command with flags.
func flagSections(c *cobra.Command) []flagSection {
	own := visibleFlags(c.LocalFlags())
	plain := func(title string, flags []*pflag.Flag, names []string) flagSection {
		return flagSection{title: title, flags: flags, names: names}
	}
	var sections []flagSection
	grouped := func(groups []flagGroup, flags []*pflag.Flag) {
		for i, g := range groups {
			sections = append(sections, flagSection{title: g.title, flags: flags, names: g.flags, group: &groups[i]})
		}
	}
	switch {
	case c.Name() == "run":
		grouped(flagGroups, own)
	case c.Name() == "each":
		grouped(eachGroups, own)
		grouped(flagGroups, slices.DeleteFunc(slices.Clone(own), func(f *pflag.Flag) bool { return inGroup(eachGroups, f.Name) }))
	case c.Annotations[asksAnnotation] != "":
		sections = append(sections, plain("Flags", own, ungrouped(own)))
		sections = append(sections, flagSection{title: c.Annotations[asksAnnotation], flags: own, named: true})
	default:
		sections = append(sections, plain("Flags", own, flagNamesOf(own)))
	}
	shared := visibleFlags(c.InheritedFlags())
	return append(sections, plain("Flags of every command", shared, flagNamesOf(shared)))
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
	for _, r := range namesByGroup(flags) {
		rows = append(rows, helpRow{"  " + r.head + ":", r.text})
	}
	return helpRows(rows, 22)
}

// namesByGroup returns the names of the flags that a command shares with idem run, below the
// title of each group.
func namesByGroup(flags []*pflag.Flag) []helpRow {
	var rows []helpRow
	for _, g := range flagGroups {
		var names []string
		for _, f := range withNames(flags, g.flags) {
			names = append(names, "--"+f.Name)
		}
		if names != nil {
			rows = append(rows, helpRow{g.title, strings.Join(names, ", ")})
		}
	}
	return rows
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
		return c.Parent().CommandPath() + " " + c.Use
	}
	return c.UseLine()
}

// commandLists returns the commands below c, in groups.
func commandLists(c *cobra.Command) []string {
	var lists []string
	for _, g := range commandGroups(c) {
		list := "  " + g.title + "\n"
		for _, sub := range g.commands {
			list += fmt.Sprintf("    %-12s%s\n", sub.Name(), sub.Short)
		}
		lists = append(lists, list)
	}
	return lists
}

// commandGroup is a part of the commands below a command.
type commandGroup struct {
	title    string
	commands []*cobra.Command
}

// commandGroups returns the commands below c, in the order of their table.
func commandGroups(c *cobra.Command) []commandGroup {
	table := commands
	for name := range strings.FieldsSeq(pathOf(c)) {
		at := slices.IndexFunc(table, func(one command) bool { return one.name == name })
		if at < 0 {
			return nil // such as help
		}
		table = table[at].below
	}
	var groups []commandGroup
	for _, one := range table {
		at := slices.IndexFunc(c.Commands(), func(sub *cobra.Command) bool { return sub.Name() == one.name })
		if at < 0 {
			continue
		}
		if n := len(groups); n == 0 || groups[n-1].title != one.group {
			groups = append(groups, commandGroup{title: one.group})
		}
		g := &groups[len(groups)-1]
		g.commands = append(g.commands, c.Commands()[at])
	}
	return groups
}
