package main

import (
	"fmt"
	"regexp"
	"strings"
)

// chapter is a part of a page of docs below one heading.
type chapter struct {
	level  int // 1 for the title of the page
	title  string
	blocks []block
}

// readMarkdown returns the chapters of a page of docs. It knows the Markdown that docs use:
// paragraphs, lists with one level, tables, blocks of code, comments.
func readMarkdown(text string) []chapter {
	var chapters []chapter
	lines := strings.Split(text, "\n")
	add := func(b block) {
		if n := len(chapters) - 1; n >= 0 {
			chapters[n].blocks = append(chapters[n].blocks, b)
		}
	}
	for i := 0; i < len(lines); {
		line, from := lines[i], i
		until := func(ends func(string) bool) []string {
			for i++; i < len(lines) && !ends(lines[i]); i++ {
			}
			return lines[from:i]
		}
		switch {
		case line == "", strings.HasPrefix(line, "<!--"):
			i++
		case strings.HasPrefix(line, "#"):
			marks, title, _ := strings.Cut(line, " ")
			chapters = append(chapters, chapter{level: len(marks), title: strings.ReplaceAll(title, "`", "")})
			i++
		case strings.HasPrefix(line, "```"):
			code := until(func(s string) bool { return s == "```" })[1:]
			i++
			add(codeBlock(code))
		case strings.HasPrefix(line, "|"):
			add(tableBlock(until(func(s string) bool { return !strings.HasPrefix(s, "|") })))
		case itemMark(line) != "":
			list := until(func(s string) bool { return s == "" && (i+1 == len(lines) || !strings.HasPrefix(lines[i+1], "  ")) })
			add(listBlock(list))
		default:
			add(block{text: markdownInline(strings.Join(until(func(s string) bool { return s == "" || itemMark(s) != "" || strings.HasPrefix(s, "```") }), " "))})
		}
	}
	return chapters
}

var mark = regexp.MustCompile(`^(- |[0-9]+\. )`)

// itemMark returns the mark with which an item of a list begins, "" for another line.
func itemMark(line string) string { return mark.FindString(line) }

func listBlock(lines []string) block {
	var b block
	for _, one := range itemsOf(lines, func(line string) bool { return itemMark(line) != "" }) {
		m := itemMark(one[0])
		body := []block{{text: markdownInline(strings.Join(strings.Fields(strings.Join(one, " ")[len(m):]), " "))}}
		if m == "- " {
			b.bullets = append(b.bullets, body)
		} else {
			b.tagged = append(b.tagged, item{[]inline{{0, strings.TrimSpace(m)}}, body})
		}
	}
	return b
}

// tableBlock returns a table as a list: a page of 80 columns has no room for its columns. The
// first cell of a row is the tag. If there are two or more further cells, each begins with its heading.
func tableBlock(lines []string) block {
	heads := cellsOf(lines[0])
	var b block
	for _, line := range lines[2:] {
		cells := cellsOf(line)
		var text []inline
		for i, cell := range cells[1:] {
			if cell == "" {
				continue
			}
			if len(text) > 0 {
				text = append(text, inline{0, lineBreak})
			}
			if len(cells) > 2 && heads[i+1] != "" {
				text = append(text, inline{0, heads[i+1] + ": "})
			}
			text = append(text, markdownInline(cell)...)
		}
		b.tagged = append(b.tagged, item{markdownInline(cells[0]), []block{{text: text}}})
	}
	return b
}

func cellsOf(row string) []string {
	cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

var markup = regexp.MustCompile("`([^`]+)`|\\*\\*([^*]+)\\*\\*|\\[([^]]+)\\]\\(([^)]+)\\)")

// markdownInline returns a paragraph of Markdown. Code is bold. A link to another page of docs
// leaves its text.
func markdownInline(s string) []inline {
	var out []inline
	for {
		m := markup.FindStringSubmatchIndex(s)
		if m == nil {
			return append(out, inline{0, s})
		}
		out = append(out, inline{0, s[:m[0]]})
		switch {
		case m[2] >= 0:
			out = append(out, inline{'B', s[m[2]:m[3]]})
		case m[4] >= 0:
			out = append(out, inline{'B', s[m[4]:m[5]]})
		default:
			out = append(out, linkInline(s[m[6]:m[7]], s[m[8]:m[9]])...)
		}
		s = s[m[1]:]
	}
}

// linkInline returns a link. A link to a page of docs that shows its name gets the directory, and
// another one keeps its text only.
func linkInline(text, target string) []inline {
	file, _, _ := strings.Cut(target, "#")
	switch {
	case strings.HasPrefix(target, "https://"):
		return append(markdownInline(text), inline{0, " (" + target + ")"})
	case text == file:
		return []inline{{0, "docs/" + file}}
	}
	return markdownInline(text)
}

// chapterOf returns the blocks below a heading of a page of docs.
func chapterOf(chapters []chapter, title string) ([]block, error) {
	for _, c := range chapters {
		if c.title == title {
			return c.blocks, nil
		}
	}
	return nil, fmt.Errorf("no heading %q", title)
}
