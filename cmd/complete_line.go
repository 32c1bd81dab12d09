package cmd

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// typed is a command line up to the word at the cursor.
type typed struct {
	command *cobra.Command
	flags   map[string]string // the values of flags that are given, the last one of each
	args    []string          // the words of command that are neither flags nor their values
	first   int               // the number of the word that is args[0]
	dash    int               // the number of the word "--", or -1
	flag    *pflag.Flag       // the word at the cursor is the value of this flag
	before  string            // in the word at the cursor, the text before the value
	cursor  string            // the rest of that word
}

// typedOf reads the words of a command line. It only looks flags up and sets none, because a
// value that is being typed need not be valid.
func typedOf(root *cobra.Command, words []string) typed {
	t := typed{command: root, flags: map[string]string{}, dash: -1}
	last := len(words) - 1
	t.cursor = words[last]
	var waiting *pflag.Flag // for its value, the next word
	for i, word := range words[:last] {
		switch {
		case waiting != nil:
			t.flags[waiting.Name], waiting = word, nil
		case t.inCommand():
		case t.dash >= 0:
			t.args = append(t.args, word)
		case word == "--":
			t.dash = i
		case len(word) > 1 && word[0] == '-':
			waiting = t.addFlag(word)
		default:
			t.addWord(i, word)
		}
	}
	name, value, joined := strings.Cut(t.cursor, "=")
	switch {
	case waiting != nil:
		t.flag = waiting
	case joined && strings.HasPrefix(name, "--") && !t.inCommand():
		if t.flag = t.command.Flag(name[2:]); t.flag != nil {
			t.before, t.cursor = name+"=", value
		}
	}
	return t
}

// addWord adds a word that is not a flag: the name of a command or an argument.
func (t *typed) addWord(i int, word string) {
	if len(t.args) == 0 {
		if at := slices.IndexFunc(t.command.Commands(), func(c *cobra.Command) bool { return c.Name() == word }); at >= 0 {
			t.command = t.command.Commands()[at]
			return
		}
		t.first = i
	}
	t.args = append(t.args, word)
}

// addFlag adds the flags of a word, and returns the one whose value is the next word.
func (t *typed) addFlag(word string) *pflag.Flag {
	if long, ok := strings.CutPrefix(word, "--"); ok {
		name, value, joined := strings.Cut(long, "=")
		f := t.command.Flag(name)
		if f == nil || !joined && f.NoOptDefVal == "" {
			return f
		}
		t.flags[name] = value
		return nil
	}
	for i := 1; i < len(word); i++ {
		f := t.command.Flags().ShorthandLookup(word[i : i+1])
		switch {
		case f == nil:
			return nil
		case f.NoOptDefVal != "":
			t.flags[f.Name] = ""
		case i+1 == len(word):
			return f
		default:
			t.flags[f.Name] = word[i+1:]
			return nil
		}
	}
	return nil
}

// inCommand reports whether the words after those read so far belong to another command, which
// idem will run.
func (t *typed) inCommand() bool { return t.commandBegin() >= 0 }

// commandBegin returns the number of the first word of the command that idem will run, or -1.
func (t *typed) commandBegin() int {
	names, dashed := operands(t.command.Use)
	switch {
	case t.dash >= 0 && (dashed || len(names) > 0 && names[0] == "COMMAND"):
		return t.dash + 1
	case len(t.args) > 0 && len(names) > 0 && names[0] == "COMMAND":
		return t.first
	}
	return -1
}

// operands returns the names of the arguments in the usage line of a command, such as KEY. dashed
// reports whether a command follows, after a "--" that is required.
func operands(use string) (names []string, dashed bool) {
	or := false
	// Without the alternatives to a flag with an operand.
	use = strings.ReplaceAll(strings.ReplaceAll(use, "{--key KEY | NAME}", "NAME"), "[--key KEY]", "")
	for _, word := range strings.Fields(use)[1:] {
		name := strings.Trim(word, "[].")
		switch {
		case word == "--" || word == "[--":
			return names, true
		case name == "|":
			or = true
		case or:
			names[len(names)-1] += "|" + name
			or = false
		case len(name) > 1 && strings.ToUpper(name[:2]) == name[:2] && name[0] != '-':
			names = append(names, name)
		}
	}
	return names, false
}

// operand returns the name of the argument at the cursor, "" if there is none.
func (t *typed) operand() string {
	names, _ := operands(t.command.Use)
	switch n := len(t.args); {
	case n < len(names):
		return names[n]
	case len(names) > 0 && strings.Contains(t.command.Use, names[len(names)-1]+"..."):
		return names[len(names)-1]
	}
	return ""
}
