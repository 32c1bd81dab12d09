package main

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
)

// piece is a paragraph, a list item, a heading, a line of a table or a comment.
type piece struct {
	lines    []string
	first    int  // the number of the first line
	fragment bool // not made of sentences: neither its beginning nor its length is checked
}

// sentence is a sentence on one line, with the places where the lines of the
// file begin in it.
type sentence struct {
	text   string
	starts []int // offset in text of each line of the file
	first  int   // the number of the line in which the sentence begins
}

func (s sentence) line(offset int) int {
	line := s.first
	for i, start := range s.starts {
		if i > 0 && start <= offset {
			line++
		}
	}
	return line
}

var (
	inlineCode = regexp.MustCompile("`[^`]*`")
	link       = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	quoted     = regexp.MustCompile(`"[^" ]*"`)
	// The end of a sentence: a full stop and, after a blank, what may begin one.
	sentenceEnd = regexp.MustCompile(`[.!?][)"*]*(\s+)(?:[^a-z]|idem\b)`)
	abbreviated = regexp.MustCompile(`(?:\b[eE]\.g|\b[iI]\.e|\betc|\bvs|\bcf|\s[A-Z])\.$`)
)

func (p piece) sentences() []sentence {
	var all []sentence
	text := ""
	var starts []int
	for _, l := range p.lines {
		if text != "" {
			text += " "
		}
		starts = append(starts, len(text))
		text += strings.TrimSpace(l)
	}
	// Code spans several lines too: offsets stay, so the inside becomes x.
	blank := func(s string) string { return s[:1] + strings.Repeat("x", len(s)-2) + s[len(s)-1:] }
	text = inlineCode.ReplaceAllStringFunc(text, blank)
	text = quoted.ReplaceAllStringFunc(text, blank)
	text = link.ReplaceAllStringFunc(text, func(s string) string {
		words, target, _ := strings.Cut(s, "](")
		return words + "_" + strings.Repeat("x", len(target)+1)
	})
	add := func(from, to int) {
		for from < to && strings.ContainsRune(" \t*_[(", rune(text[from])) {
			from++
		}
		if from == to {
			return
		}
		s := sentence{text: strings.TrimSpace(text[from:to]), first: p.first, starts: []int{0}}
		for i, start := range starts {
			if i > 0 && start <= from {
				s.first++
			}
			if start > from && start < to {
				s.starts = append(s.starts, start-from)
			}
		}
		all = append(all, s)
	}
	from, at := 0, 0
	for {
		m := sentenceEnd.FindStringSubmatchIndex(text[at:])
		if m == nil {
			break
		}
		if abbreviated.MatchString(text[from : at+m[0]+1]) {
			at += m[0] + 1
			continue
		}
		add(from, at+m[2])
		from, at = at+m[3], at+m[3]
	}
	add(from, len(text))
	return all
}

// read returns the texts of a file that people read.
func read(name string, content string) ([]piece, error) {
	switch {
	case strings.HasSuffix(name, ".go"):
		return goComments(name, content)
	case filepath.Base(name) == "cli.md":
		return terms(content), nil
	case strings.HasSuffix(name, ".md"):
		return markdown(content), nil
	default:
		return shellComments(content), nil
	}
}

var listItem = regexp.MustCompile(`^\s*(?:[-*+]|[0-9]+\.)\s+`)

func markdown(content string) []piece {
	var all []piece
	var open piece
	end := func() {
		if len(open.lines) > 0 {
			all = append(all, open)
		}
		open = piece{}
	}
	fenced, comment := false, false
	for i, l := range strings.Split(content, "\n") {
		trimmed := strings.TrimSpace(l)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			end()
			fenced = !fenced
		case fenced:
		case comment || strings.HasPrefix(trimmed, "<!--"):
			end()
			comment = !strings.Contains(trimmed, "-->")
		case trimmed == "":
			end()
		case trimmed[0] == '#' || trimmed[0] == '|':
			end()
			all = append(all, piece{[]string{strings.TrimLeft(l, "#| ")}, i + 1, true})
		case listItem.MatchString(l):
			end()
			open = piece{lines: []string{listItem.ReplaceAllString(l, "")}, first: i + 1}
		default:
			if len(open.lines) == 0 {
				open.first = i + 1
			}
			open.lines = append(open.lines, l)
		}
	}
	end()
	return all
}

// terms reads help output, in which lines are cut to columns: each line alone.
func terms(content string) []piece {
	var all []piece
	for i, l := range strings.Split(content, "\n") {
		if strings.TrimSpace(l) != "" {
			all = append(all, piece{[]string{l}, i + 1, true})
		}
	}
	return all
}

var directive = regexp.MustCompile(`^(?:[a-z]+:[a-z]|nolint|\+build|shellcheck )`)

func goComments(name, content string) ([]piece, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var all []piece
	for _, group := range file.Comments {
		var lines []string
		first := files.Position(group.Pos()).Line
		for _, c := range group.List {
			text := c.Text
			if strings.HasPrefix(text, "/*") {
				text = strings.TrimSuffix(strings.TrimPrefix(text, "/*"), "*/")
				lines = append(lines, strings.Split(text, "\n")...)
				continue
			}
			lines = append(lines, text[2:])
		}
		all = append(all, paragraphs(lines, first)...)
	}
	return all, nil
}

// paragraphs splits the lines of a comment at blank and indented lines.
func paragraphs(lines []string, first int) []piece {
	var all []piece
	var open piece
	end := func() {
		if len(open.lines) > 0 {
			all = append(all, open)
		}
		open = piece{}
	}
	for i, l := range lines {
		trimmed := strings.TrimSpace(l)
		switch {
		case trimmed == "" || directive.MatchString(trimmed) || strings.HasPrefix(l, "\t") || strings.HasPrefix(l, " \t") || strings.HasPrefix(l, "    "):
			end()
		case listItem.MatchString(l):
			end()
			open = piece{lines: []string{listItem.ReplaceAllString(l, "")}, first: first + i}
		default:
			if len(open.lines) == 0 {
				open.first = first + i
			}
			open.lines = append(open.lines, trimmed)
		}
	}
	end()
	return all
}

func shellComments(content string) []piece {
	var all []piece
	var lines []string
	end := func(next int) {
		all = append(all, paragraphs(lines, next-len(lines))...)
		lines = nil
	}
	for i, l := range strings.Split(content, "\n") {
		text, isComment := strings.CutPrefix(strings.TrimSpace(l), "#")
		if isComment && !strings.HasPrefix(text, "!") {
			lines = append(lines, text)
			continue
		}
		end(i + 1)
	}
	end(strings.Count(content, "\n") + 2)
	return all
}
