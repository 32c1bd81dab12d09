package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"idem/cmd"
)

// manual makes the pages.
type manual struct {
	help  cmd.Manual
	docs  map[string][]chapter // by the name of the page of docs
	pages []*page
}

// pagesOf returns all pages. docs is the directory of the repository with that name.
func pagesOf(help cmd.Manual, docs string) ([]*page, error) {
	m := &manual{help: help, docs: map[string][]chapter{}}
	for _, name := range []string{"guide.md", "ledger.md"} {
		text, err := os.ReadFile(filepath.Join(docs, name))
		if err != nil {
			return nil, err
		}
		m.docs[name] = readMarkdown(string(text))
	}
	for _, c := range help.Commands {
		if err := m.command(c); err != nil {
			return nil, err
		}
	}
	for _, t := range help.Topics {
		if err := m.topic(t); err != nil {
			return nil, err
		}
	}
	if err := m.ledger(); err != nil {
		return nil, err
	}
	for _, p := range m.pages {
		m.seeAlso(p)
	}
	return m.pages, nil
}

// command adds the page of a command.
func (m *manual) command(c cmd.ManualCommand) error {
	p := &page{name: pageName(c.Path), volume: 1, about: lower(c.Short)}
	usage := c.Path
	p.add("SYNOPSIS", block{text: append([]inline{{'B', usage}}, usageInline(strings.TrimPrefix(c.Usage, usage))...)})
	if c.Text != c.Short {
		p.add("DESCRIPTION", helpBlocks(c.Text)...)
	}
	p.add("COMMANDS", m.below(c)...)
	p.add("OPTIONS", m.flags(c)...)
	exits := rows(c.Exits)
	if c.Path == "idem" {
		exits = append([]block{{text: helpInline("These are the statuses of idem run and idem step. Each other command has its own, on its page.")}}, exits...)
	}
	p.add("EXIT STATUS", exits...)
	if explains(c.Path) {
		p.add("ENVIRONMENT", m.environment()...)
		place, err := chapterOf(m.docs["guide.md"], "The ledger")
		if err != nil {
			return err
		}
		p.add("FILES", place[0])
	}
	if c.Examples != "" {
		p.add("EXAMPLES", codeBlock(dedent(strings.Split(strings.Trim(c.Examples, "\n"), "\n"))))
	}
	m.pages = append(m.pages, p)
	return nil
}

// environment returns the lists of environment variables.
func (m *manual) environment() []block {
	var blocks []block
	for _, part := range m.help.Environment {
		if part.Title != "" {
			blocks = append(blocks, block{text: helpInline(part.Title)})
		}
		blocks = append(blocks, rows(part.Rows)...)
	}
	return blocks
}

// explains reports whether the page of a command explains what all commands have.
func explains(path string) bool { return path == "idem" || path == "idem run" }

// below returns the list of the commands below c.
func (m *manual) below(c cmd.ManualCommand) []block {
	width := 0
	for _, g := range c.Commands {
		width = max(width, widest(g.Rows)+len("(1)"))
	}
	var blocks []block
	for _, g := range c.Commands {
		if g.Title != "" {
			blocks = append(blocks, block{heading: g.Title})
		}
		list := block{column: width + 2}
		for _, r := range g.Rows {
			list.tagged = append(list.tagged, item{reference(pageName(r.Head), 1), []block{{text: helpInline(r.Text)}}})
		}
		blocks = append(blocks, list)
	}
	return blocks
}

// flags returns the flags of a command. The page of idem run has the texts of the topics, too.
func (m *manual) flags(c cmd.ManualCommand) []block {
	var blocks []block
	for _, f := range c.Flags {
		if len(c.Flags) > 1 {
			blocks = append(blocks, block{heading: f.Title})
		}
		var list block
		if !strings.HasPrefix(f.Rows[0].Head, "-") { // names of flags by group
			list.column = widest(f.Rows) + 2
		}
		for _, r := range f.Rows {
			list.tagged = append(list.tagged, item{flagInline(r.Head), []block{{text: helpInline(r.Text)}}})
		}
		blocks = append(blocks, list)
		if topic, err := m.topicNamed(f.Topic); err == nil && c.Path == "idem run" {
			blocks = append(blocks, topicText(topic)...)
		}
	}
	return blocks
}

// topicText returns the note and the example of a topic with flags.
func topicText(t cmd.ManualTopic) []block {
	return append(helpBlocks(t.Note), block{text: helpInline("Example:")}, codeBlock([]string{t.Example}))
}

func (m *manual) topicNamed(name string) (cmd.ManualTopic, error) {
	for _, t := range m.help.Topics {
		if t.Name == name {
			return t, nil
		}
	}
	return cmd.ManualTopic{}, fmt.Errorf("no topic %q", name)
}

// topic adds the page of a topic. Those with flags are parts of the page of idem run, except for
// the windows, of which every command speaks.
func (m *manual) topic(t cmd.ManualTopic) error {
	p := &page{name: "idem-" + t.Name, volume: 7, about: t.About}
	var err error
	var rest []block
	switch {
	case t.Name == "windows":
		p.about = "keys and windows of idem"
		p.add("SYNOPSIS", codeBlock([]string{t.Example}))
		if rest, err = chapterOf(m.docs["guide.md"], "Keys and windows"); err == nil {
			p.add("DESCRIPTION", rest...)
			run := m.help.Commands[slices.IndexFunc(m.help.Commands, func(c cmd.ManualCommand) bool { return c.Path == "idem run" })]
			run.Flags = slices.DeleteFunc(slices.Clone(run.Flags), func(f cmd.ManualFlags) bool { return f.Topic != t.Name })
			run.Path = ""
			p.add("OPTIONS", m.flags(run)...)
		}
	case t.Text == "":
		return nil
	case t.Name == "exit-status":
		if rest, err = chapterOf(m.docs["guide.md"], "Exit status"); err == nil {
			p.add("DESCRIPTION", rest...)
		}
	case t.Name == "environment":
		p.add("DESCRIPTION", m.environment()...)
	default:
		p.add("DESCRIPTION", helpBlocks(t.Text)...)
	}
	m.pages = append(m.pages, p)
	return err
}

// ledger adds the page about the files and the formats.
func (m *manual) ledger() error {
	p := &page{name: "idem-ledger", volume: 5, about: "files and formats of idem"}
	for _, c := range m.docs["ledger.md"] {
		title := strings.ToUpper(c.title)
		if c.level == 1 {
			title = "DESCRIPTION"
		}
		p.add(title, c.blocks...)
	}
	place, err := chapterOf(m.docs["guide.md"], "The ledger")
	if err != nil {
		return err
	}
	p.sections = slices.Insert(p.sections, 1, section{"PLACE", place})
	json, err := chapterOf(m.docs["guide.md"], "JSON")
	if err != nil {
		return err
	}
	p.add("JSON", json...)
	m.pages = append(m.pages, p)
	return nil
}

// seeAlso adds the names of other pages: the parent and the children of a command, those of its
// group, and all pages that are not about a command. It says where docs are, if the page leads to one of them.
func (m *manual) seeAlso(p *page) {
	var names []*page
	for _, other := range m.pages {
		if other != p && (other.volume > 1 || m.near(p.name, other.name)) {
			names = append(names, other)
		}
	}
	slices.SortStableFunc(names, func(a, b *page) int { return cmp.Compare(a.volume, b.volume) })
	var text []inline
	for i, other := range names {
		if i > 0 {
			text = append(text, inline{0, ", "})
		}
		text = append(text, reference(other.name, other.volume)...)
	}
	blocks := []block{{text: text}}
	if strings.Contains(p.roff("", ""), "docs/") {
		blocks = append(blocks, block{text: helpInline("The directory docs is in the archives of a release. A package has it below share/doc.")})
	}
	p.add("SEE ALSO", blocks...)
}

// near reports whether the page other is about a command that a reader of the page name may look for.
func (m *manual) near(name, other string) bool {
	if other == "idem" || other == "idem-run" {
		return true
	}
	for _, c := range m.help.Commands {
		for _, g := range c.Commands {
			has := func(page string) bool {
				return slices.ContainsFunc(g.Rows, func(r cmd.ManualRow) bool { return pageName(r.Head) == page })
			}
			if has(other) && (has(name) || pageName(c.Path) == name && name != "idem") || has(name) && pageName(c.Path) == other {
				return true
			}
		}
	}
	return false
}

// pageName returns the name of the page of a command.
func pageName(path string) string { return strings.ReplaceAll(path, " ", "-") }

func reference(name string, volume int) []inline {
	return []inline{{'B', name}, {0, fmt.Sprintf("(%d)", volume)}}
}

// widest returns the length of the longest head.
func widest(rows []cmd.ManualRow) int {
	n := 0
	for _, r := range rows {
		n = max(n, len(r.Head))
	}
	return n
}

func rows(rows []cmd.ManualRow) []block {
	if rows == nil {
		return nil
	}
	var b block
	for _, r := range rows {
		b.tagged = append(b.tagged, item{[]inline{{'B', r.Head}}, []block{{text: helpInline(r.Text)}}})
	}
	return []block{b}
}

// usageInline returns the rest of a usage line: flags in bold, placeholders in italics.
func usageInline(s string) []inline {
	var out []inline
	for s != "" {
		n := strings.IndexFunc(s, func(r rune) bool { return !isUpper(r) && r != '-' })
		if n == 0 {
			if n = strings.IndexFunc(s, isUpper); n < 0 {
				n = len(s)
			}
			out = append(out, inline{0, s[:n]})
		} else {
			if n < 0 {
				n = len(s)
			}
			out = append(out, inline{'I', s[:n]})
		}
		s = s[n:]
	}
	return out
}

// lower returns a sentence as the description of a page: it begins with a small letter.
func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }
