package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// noteText wraps the paragraphs of a note. Empty lines and lines that begin with a
// space are kept.
func noteText(note string) string {
	var lines []string
	var paragraph string
	flush := func() {
		if paragraph != "" {
			lines = append(lines, wrapText(paragraph, helpWidth-2)...)
		}
		paragraph = ""
	}
	for line := range strings.SplitSeq(note, "\n") {
		if line == "" || strings.HasPrefix(line, " ") {
			flush()
			lines = append(lines, line)
		} else {
			paragraph += " " + line
		}
	}
	flush()
	return indent(strings.Join(lines, "\n"))
}

func indent(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}

// visibleFlags returns the flags that are not hidden, in the order of their set. It
// leaves out -h, which needs no explanation.
func visibleFlags(set *pflag.FlagSet) []*pflag.Flag {
	var flags []*pflag.Flag
	set.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			flags = append(flags, f)
		}
	})
	return flags
}

// flagList describes the flags that have one of the names, in the order of the
// names. The texts begin at column.
func flagList(flags []*pflag.Flag, names []string, column int) string {
	return helpRows(flagRows(flags, names), column)
}

// flagRows returns the flags that have one of the names, in the order of the names.
func flagRows(flags []*pflag.Flag, names []string) []helpRow {
	var rows []helpRow
	for _, name := range names {
		for _, f := range withNames(flags, []string{name}) {
			_, text := pflag.UnquoteUsage(f)
			rows = append(rows, helpRow{flagHead(f), text + defaultOf(f)})
		}
	}
	return rows
}

// flagNamesOf returns the names of flags.
func flagNamesOf(flags []*pflag.Flag) []string {
	var names []string
	for _, f := range flags {
		names = append(names, f.Name)
	}
	return names
}

// ungrouped returns the names of the flags that are in no group.
func ungrouped(flags []*pflag.Flag) []string {
	return slices.DeleteFunc(flagNamesOf(flags), func(name string) bool { return inGroup(flagGroups, name) })
}

// inGroup reports whether a flag is in one of the groups.
func inGroup(groups []flagGroup, name string) bool {
	return slices.ContainsFunc(groups, func(g flagGroup) bool { return slices.Contains(g.flags, name) })
}

// helpWidth is the maximum width of a line of help, in bytes.
const helpWidth = 80

// maxFlagColumn leaves room for the texts of flags. The text of a longer flag begins on the
// next line.
const maxFlagColumn = 26

// flagColumn returns the column at which the texts of flags begin.
func flagColumn(flags []*pflag.Flag) int {
	n := 0
	for _, f := range flags {
		n = max(n, len(flagHead(f))+3)
	}
	return min(n, maxFlagColumn)
}

// flagHead returns a flag as it is typed, with its value.
func flagHead(f *pflag.Flag) string {
	s := "      --" + f.Name
	if f.Shorthand != "" {
		s = "  -" + f.Shorthand + ", --" + f.Name
	}
	value, _ := pflag.UnquoteUsage(f)
	switch {
	case value == "":
		return s
	case f.NoOptDefVal != "": // the flag takes a value only after "="
		return s + "[=" + value + "]"
	}
	return s + " " + value
}

func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "0", "false", "[]":
		return ""
	}
	return " (default " + f.DefValue + ")"
}

// wrapText breaks text into lines of at most width bytes.
func wrapText(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) > width:
			lines = append(lines, word)
		default:
			*last += " " + word
		}
	}
	return lines
}

// helpRow is a name or a typed text, with its explanation.
type helpRow struct{ head, text string }

// helpRows writes rows with their texts in a column. The text of a head that is
// too long begins on the next line.
func helpRows(rows []helpRow, column int) string {
	var b strings.Builder
	margin := strings.Repeat(" ", column)
	for _, r := range rows {
		lines := wrapText(r.text, helpWidth-column)
		if len(r.head) >= column {
			b.WriteString(r.head + "\n" + margin)
		} else {
			fmt.Fprintf(&b, "%-*s", column, r.head)
		}
		b.WriteString(strings.Join(lines, "\n"+margin) + "\n")
	}
	return b.String()
}
