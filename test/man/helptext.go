package main

import (
	"regexp"
	"slices"
	"strings"
)

var (
	flagInText = regexp.MustCompile(`(^|[\s(,;:/"|])(--?[A-Za-z][A-Za-z0-9-]*)`)
	columns    = regexp.MustCompile(` {2,}`)
	rowOfList  = regexp.MustCompile(`^(\S+(?: \S+)*) {2,}(\S.*)$`)
)

// helpInline returns a text of the help with its flags in bold.
func helpInline(s string) []inline {
	var out []inline
	for {
		m := flagInText.FindStringSubmatchIndex(s)
		if m == nil {
			return append(out, inline{0, s})
		}
		out = append(out, inline{0, s[:m[4]]}, inline{'B', s[m[4]:m[5]]})
		s = s[m[5]:]
	}
}

// flagInline returns a flag as it is typed: the flag in bold, and its value in italics.
func flagInline(head string) []inline {
	at := strings.LastIndex(head, "--")
	if at < 0 { // not a flag
		return []inline{{0, head}}
	}
	end := strings.IndexAny(head[at:], " [=")
	if end < 0 {
		return helpInline(head)
	}
	flags, value := head[:at+end], head[at+end:]
	out := helpInline(flags)
	for value != "" {
		n := strings.IndexFunc(value, isUpper)
		if n < 0 {
			return append(out, inline{0, value})
		}
		out = append(out, inline{0, value[:n]})
		value = value[n:]
		n = strings.IndexFunc(value, func(r rune) bool { return !isUpper(r) })
		if n < 0 {
			n = len(value)
		}
		out = append(out, inline{'I', value[:n]})
		value = value[n:]
	}
	return out
}

func isUpper(r rune) bool { return r >= 'A' && r <= 'Z' }

// helpBlocks returns the blocks of a text of the help. Lines that begin with a space are a list,
// or typed text.
func helpBlocks(text string) []block {
	lines := dedent(strings.Split(strings.Trim(text, "\n"), "\n"))
	var blocks []block
	for len(lines) > 0 {
		switch {
		case lines[0] == "":
			lines = lines[1:]
		case indentOf(lines[0]) == 0:
			n := 1
			for n < len(lines) && lines[n] != "" && indentOf(lines[n]) == 0 {
				n++
			}
			if isTyped(lines[:n]) {
				blocks = append(blocks, codeBlock(lines[:n]))
			} else {
				blocks = append(blocks, block{text: fill(lines[:n], 0)})
			}
			lines = lines[n:]
		default:
			n := 1
			for n < len(lines) && (indentOf(lines[n]) > 0 || lines[n] == "" && n+1 < len(lines) && indentOf(lines[n+1]) > 0) {
				n++
			}
			blocks = append(blocks, indentedBlocks(dedent(lines[:n]))...)
			lines = lines[n:]
		}
	}
	return blocks
}

// isTyped reports whether lines without indentation are for a shell: a line of 80 characters has
// no room for an indentation.
func isTyped(lines []string) bool {
	return !slices.ContainsFunc(lines, func(line string) bool { return !strings.Contains(line, "$") })
}

// indentedBlocks returns the blocks of lines that are indented in the help.
func indentedBlocks(lines []string) []block {
	switch {
	case strings.HasPrefix(lines[0], "- "):
		var b block
		for _, one := range itemsOf(lines, func(line string) bool { return strings.HasPrefix(line, "- ") }) {
			one[0] = "  " + one[0][2:]
			b.bullets = append(b.bullets, []block{{text: fill(dedent(one), 2+indentOf(one[0]))}})
		}
		return []block{b}
	case rowOfList.MatchString(lines[0]) || len(lines) > 1 && indentOf(lines[1]) > 2:
		var b block
		for _, one := range itemsOf(lines, func(line string) bool { return line != "" && indentOf(line) == 0 }) {
			tag := one[0]
			if m := rowOfList.FindStringSubmatchIndex(tag); m != nil {
				tag, one[0] = one[0][:m[3]], strings.Repeat(" ", m[4])+one[0][m[4]:]
			} else {
				one = one[1:]
			}
			body := block{text: fill(dedent(one), 2+indentOf(one[0]))}
			b.tagged = append(b.tagged, item{[]inline{{'B', tag}}, []block{body}})
		}
		return []block{b}
	}
	return []block{codeBlock(lines)}
}

// itemsOf divides the lines of a list.
func itemsOf(lines []string, begins func(string) bool) [][]string {
	var items [][]string
	for _, line := range lines {
		switch {
		case begins(line):
			items = append(items, []string{line})
		case line != "":
			items[len(items)-1] = append(items[len(items)-1], line)
		}
	}
	return items
}

// fillWidth is a width that no line of the help has left free for one more word.
const fillWidth = 74

// fill joins the lines of a paragraph whose lines begin at a column of the help. Where the next
// word would have had room, the line ends on purpose, so it ends here too. So does typed text,
// which follows a colon at the end of a line.
func fill(lines []string, column int) []inline {
	var out []inline
	typed := false
	for i, line := range lines {
		for n, column := range columns.Split(strings.TrimSpace(line), -1) {
			if n > 0 {
				out = append(out, inline{0, lineBreak})
			}
			out = append(out, helpInline(column)...)
		}
		if i == len(lines)-1 {
			break
		}
		word, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " ")
		colon := strings.HasSuffix(line, ":") // before typed text
		if colon || typed || column+len(lines[i])+1+len(word) <= fillWidth {
			out = append(out, inline{0, lineBreak})
		} else {
			out = append(out, inline{0, " "})
		}
		typed = colon
	}
	return out
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// dedent removes the indentation that all lines have.
func dedent(lines []string) []string {
	least := -1
	for _, line := range lines {
		if n := indentOf(line); line != "" && (least < 0 || n < least) {
			least = n
		}
	}
	out := make([]string, len(lines))
	for i, line := range lines {
		if line != "" {
			out[i] = line[least:]
		}
	}
	return out
}

// codeWidth is the room for a line of code on a terminal of 80 columns.
const codeWidth = 73

// codeBlock returns typed text. A call of idem that is too long for a line goes on in the next one.
func codeBlock(lines []string) block {
	var out []string
	for _, line := range lines {
		out = append(out, fold(line)...)
	}
	return block{code: out}
}

func fold(line string) []string {
	if len(line) <= codeWidth || !strings.Contains(line, "idem ") && indentOf(line) == 0 {
		return []string{line}
	}
	for _, at := range []string{" -- ", " | ", " && ", " --"} {
		i := strings.LastIndex(line[:codeWidth], at)
		if i <= indentOf(line) || quoted(line[:i]) {
			continue
		}
		margin := line[:indentOf(line)] + "  "
		return append([]string{line[:i] + ` \`}, fold(margin+line[i+1:])...)
	}
	return []string{line}
}

// quoted reports whether the end of a piece of a line for a shell is inside of quotation marks.
func quoted(s string) bool {
	var open rune
	for _, r := range s {
		switch {
		case open == 0 && (r == '\'' || r == '"'):
			open = r
		case r == open:
			open = 0
		}
	}
	return open != 0
}
