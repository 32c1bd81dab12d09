package cmd

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Manual is the whole help in parts, for a program that writes it in another form. idem itself
// makes none, so the linker leaves this file out.
type Manual struct {
	Commands []ManualCommand // each one comes before those below it; idem is the first
	Topics   []ManualTopic
	// Environment is the text of the topic environment in parts.
	Environment []ManualPart
}

// ManualRow is a name or a typed text, with its explanation.
type ManualRow struct{ Head, Text string }

// ManualPart is a list with a title.
type ManualPart struct {
	Title string
	Rows  []ManualRow
}

// ManualCommand is the help of a command.
type ManualCommand struct {
	Path     string // such as "idem list"
	Short    string
	Text     string
	Usage    string
	Examples string
	Commands []ManualPart // those below it, with their paths
	Flags    []ManualFlags
	Exits    []ManualRow
}

// ManualFlags is a part of the flags of a command.
type ManualFlags struct {
	ManualPart
	Topic string // its page of idem help, "" if it has none
}

// ManualTopic is a page of idem help TOPIC. It has a text, or flags with a note and an example.
type ManualTopic struct {
	Name, Title, About string
	Text               string
	Flags              []ManualRow
	Note, Example      string
}

// HelpManual returns the manual.
func HelpManual() Manual {
	root := (&app{}).command("")
	var m Manual
	walkCommands(root, func(c *cobra.Command) { m.Commands = append(m.Commands, manualCommand(c)) })
	run, _, _ := root.Find([]string{"run"})
	for _, g := range flagGroups {
		flags := manualFlags(visibleFlags(run.LocalFlags()), g.flags)
		m.Topics = append(m.Topics, ManualTopic{Name: g.topic, Title: g.title, Flags: flags, Note: g.note, Example: g.example})
	}
	for _, t := range textTopics {
		m.Topics = append(m.Topics, ManualTopic{Name: t.topic, Title: t.title, About: t.about, Text: t.text()})
	}
	for _, g := range variableGroups {
		part := ManualPart{Title: strings.Join(strings.Fields(g.intro), " ")}
		for _, r := range g.rows {
			part.Rows = append(part.Rows, ManualRow{r.names, r.text})
		}
		m.Environment = append(m.Environment, part)
	}
	return m
}

// walkCommands visits c and all commands below it that users see.
func walkCommands(c *cobra.Command, visit func(*cobra.Command)) {
	if c.Hidden || c.Name() == "help" {
		return
	}
	visit(c)
	for _, sub := range c.Commands() {
		walkCommands(sub, visit)
	}
}

func manualCommand(c *cobra.Command) ManualCommand {
	m := ManualCommand{Path: c.CommandPath(), Short: c.Short, Text: longOf(c), Usage: usageLine(c), Examples: c.Example}
	for _, g := range commandGroups(c) {
		part := ManualPart{Title: g.title}
		for _, sub := range g.commands {
			part.Rows = append(part.Rows, ManualRow{sub.CommandPath(), sub.Short})
		}
		m.Commands = append(m.Commands, part)
	}
	for _, s := range flagSections(c) {
		part := ManualFlags{ManualPart: ManualPart{Title: s.title}}
		switch {
		case s.named:
			for _, r := range namesByGroup(s.flags) {
				part.Rows = append(part.Rows, ManualRow{r.head, r.text})
			}
		default:
			part.Rows = manualFlags(s.flags, s.names)
		}
		if s.group != nil {
			part.Topic = s.group.topic
		}
		if part.Rows != nil {
			m.Flags = append(m.Flags, part)
		}
	}
	exits := exitsOf(pathOf(c))
	if !c.HasParent() {
		exits = exitTable
	}
	for _, row := range exits {
		m.Exits = append(m.Exits, ManualRow{row.code, row.meaning})
	}
	return m
}

func manualFlags(flags []*pflag.Flag, names []string) []ManualRow {
	var rows []ManualRow
	for _, r := range flagRows(flags, names) {
		rows = append(rows, ManualRow{strings.TrimSpace(r.head), r.text})
	}
	return rows
}
