package cmd

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// bashLine is a command line in bash up to the cursor. idem splits it, because bash splits words
// at the characters of COMP_WORDBREAKS too, such as a colon. No part of the line is executed.
type bashLine struct {
	words []shellWord // without the name of the program; the last one ends at the cursor
	list  bool        // bash shows the values
	width int         // of the terminal
}

// shellWord is a word of a line.
type shellWord struct {
	text  string // without quotes and escapes
	begin int    // where it begins in the line, in characters
	quote byte   // of the quotes that are open at its end, or 0
	// kept is the number of bytes of text that bash keeps when it completes the word. They end at the
	// open quote, or at the last character at which bash breaks words.
	kept int
}

// bashLineOf returns the line of the words that the script for bash calls idem with: COMP_TYPE,
// COLUMNS, COMP_WORDBREAKS, and the line. It returns nil for other words.
func bashLineOf(args []string) *bashLine {
	if len(args) != 4 {
		return nil
	}
	l := &bashLine{}
	switch args[0] {
	case "63", "33", "64": // ? ! @, see COMP_TYPE
		l.list = true
	}
	if l.width, _ = strconv.Atoi(args[1]); l.width < 20 {
		l.width = 80
	}
	words := splitShell(args[3], args[2])
	if len(words) < 2 {
		return nil
	}
	l.words = words[1:]
	return l
}

func (l *bashLine) texts() []string {
	texts := make([]string, len(l.words))
	for i, w := range l.words {
		texts[i] = w.text
	}
	return texts
}

// splitShell splits a line into words as a shell does, without any expansion. The last word may
// be empty. breaks are further characters at which bash breaks words; see kept.
func splitShell(line, breaks string) []shellWord {
	words := []shellWord{{}}
	w := &words[0]
	var text strings.Builder
	start, characters := 0, 0
	for i := 0; i < len(line); i++ {
		c := line[i]
		if utf8.RuneStart(c) {
			characters++
		}
		switch {
		case w.quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if i > start {
				w.text = text.String()
				text.Reset()
				words = append(words, shellWord{})
				w = &words[len(words)-1]
			}
			start, w.begin = i+1, characters
		case w.quote == 0 && (c == '\'' || c == '"'):
			w.quote, w.kept = c, text.Len()
		case c == w.quote && c != 0:
			w.quote = 0
		case c == '\\' && i+1 < len(line) && (w.quote == 0 || w.quote == '"' && strings.IndexByte("$`\"\\", line[i+1]) >= 0):
			i++
			if utf8.RuneStart(line[i]) {
				characters++
			}
			text.WriteByte(line[i])
		case c == '\\' && i+1 == len(line) && w.quote != '\'': // the character is not typed yet
		default:
			if w.quote == 0 && strings.IndexByte(breaks, c) >= 0 {
				if w.kept = text.Len(); c != '@' && c != '$' { // those are the first character of a word
					w.kept++
				}
			}
			text.WriteByte(c)
		}
	}
	w.text = text.String()
	return words
}

// answer returns the lines for the script: the texts that bash inserts in place of what is typed
// after the last character of COMP_WORDBREAKS, quoted, and the directive.
func (l *bashLine) answer(c completions) string {
	var b strings.Builder
	var values []candidate
	last := l.words[len(l.words)-1]
	for _, one := range c.candidates {
		value := c.before + one.value
		if len(value) < last.kept {
			continue
		}
		if text, ok := last.insert(value[last.kept:]); ok {
			values = append(values, candidate{text, one.about})
		}
	}
	column := 0
	for _, v := range values {
		column = max(column, utf8.RuneCountInString(v.value))
	}
	for _, v := range values {
		if l.list && len(values) > 1 && v.about != "" {
			v.value = describe(v, min(column, l.width/2), l.width-1)
		}
		b.WriteString(v.value + "\n")
	}
	d := c.directive
	if d >= commandOf {
		d = commandAt(l.words[d>>commandShift].begin)
	}
	fmt.Fprintf(&b, "%d\n", d)
	return b.String()
}

// describe returns a value with its description, in at most width characters.
func describe(c candidate, column, width int) string {
	text := []rune(fmt.Sprintf("%-*s  (%s)", column, c.value, c.about))
	if len(text) > width {
		text = append(text[:width-2], '…', ')')
	}
	return string(text)
}

// insert returns a text as it can be inserted in place of the end of a word. ok is false if the
// quotes around it cannot have it.
func (w shellWord) insert(text string) (quoted string, ok bool) {
	switch w.quote {
	case '\'':
		return text, !strings.Contains(text, "'")
	case '"':
		return text, !strings.ContainsAny(text, "\"$`!\\")
	}
	var b strings.Builder
	for i, r := range text {
		if r < utf8.RuneSelf && !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-", r) &&
			!(r == '~' && i > 0) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String(), true
}
