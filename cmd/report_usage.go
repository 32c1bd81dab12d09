package cmd

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/hashkey"
)

// noCommand returns the failure of a call whose first word is not a command of idem. flags are
// those before that word. If a program has that name, the user probably meant idem run with the
// program.
func noCommand(flags, args []string) error {
	f := usage("unknown command %s", quoteWord(args[0]))
	names := []string{"help"}
	for _, c := range commands {
		names = append(names, c.name)
	}
	if name := closest(args[0], names); name != "" {
		return f.hint("did you mean %q?", name)
	}
	f.hint("to see the commands: idem --help")
	if !isCommand(args[0]) {
		return f
	}
	comment := ""
	if !slices.Equal(hashkey.Mask(args), args) { // a pasted masked line would run another command
		comment = "# "
	}
	run := slices.Concat([]string{"idem", "run"}, flags, []string{"--key", "KEY", "--"})
	return f.hint("to run it once per key: %s%s %s", comment, shellLine(run), commandLine(args))
}

// withoutCommand is the RunE of a command with commands below it, for a call that names no
// such command.
func withoutCommand(c *cobra.Command, args []string) error {
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	last := len(names) - 1
	list := strings.Join(names[:last], ", ") + " or " + names[last]
	switch {
	case len(args) == 0 && c.Flags().NFlag() == 0:
		return c.Help()
	case len(args) == 0:
		return usage("%s requires a command", c.CommandPath()).detail("it is one of %s", list)
	case args[0] == "":
		return usage("the command of %s is empty: a variable may be unset", c.CommandPath())
	}
	f := usage("%s does not know %s", c.CommandPath(), quoteWord(args[0])).detail("it knows %s", list)
	if name := closest(args[0], names); name != "" {
		f.hint("did you mean: %s %s", c.CommandPath(), name)
	}
	return f
}

// checkCommandLine refuses a call of idem run without a command.
func checkCommandLine(argv []string) error {
	switch {
	case len(argv) == 0:
		return usage("idem run requires a command").hintForm("idem run --key KEY -- COMMAND [ARG...]")
	case argv[0] == "":
		return usage("the command is empty: a variable may be unset")
	}
	return nil
}

// flagFailure returns the failure for flags of a command that cannot be parsed.
func flagFailure(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var lacks *pflag.ValueRequiredError
	f := usage("%v", err)
	switch {
	case errors.As(err, &unknown):
		f = unknownFlag(c, unknown)
	case errors.As(err, &lacks):
		f = usage("--%s requires a value", lacks.GetSpecifiedName())
	case errors.As(err, &invalid):
		why := errors.Unwrap(err).Error()
		if num := (*strconv.NumError)(nil); errors.As(err, &num) {
			why = map[string]string{"ParseInt": "want a number", "ParseBool": "want true or false"}[num.Func]
		}
		f = usage("invalid value %s for --%s", quote(invalid.GetValue()), invalid.GetFlag().Name).detail("%s", why)
		if value := (*valueError)(nil); errors.As(err, &value) {
			return f.hint("%s", value.hint)
		}
	}
	return f.hint("to see the flags: %s --help", c.CommandPath())
}

// unknownFlag returns the failure for a flag that a command does not have.
func unknownFlag(c *cobra.Command, unknown *pflag.NotExistError) *failure {
	name, all := unknown.GetSpecifiedName(), unknown.GetSpecifiedShortnames()
	if p := c.Parent(); p != nil && p.HasParent() { // it has the flags of the commands below it
		flag := p.Flags().Lookup(name)
		if all != "" {
			flag = p.Flags().ShorthandLookup(name)
		}
		for _, other := range p.Commands() {
			if flag != nil && other.Flags().Lookup(flag.Name) != nil {
				return usage("%s takes no --%s", c.CommandPath(), flag.Name).detail("it is a flag of %s", other.CommandPath())
			}
		}
	}
	if all == "" {
		return usage("unknown flag --%s", name).hintNear(c, name)
	}
	f := usage("unknown flag -%s", name)
	if len(all) > 1 {
		long, _, _ := strings.Cut(all, "=")
		f.detail("in -%s", all).hintNear(c, long)
	}
	return f
}

// hintNear adds the flag of a command that name is probably a misspelling of.
func (f *failure) hintNear(c *cobra.Command, name string) *failure {
	var names []string
	c.Flags().VisitAll(func(fl *pflag.Flag) {
		if !fl.Hidden || c.HasSubCommands() { // see takeFlagsBelow
			names = append(names, fl.Name)
		}
	})
	if near := closest(name, names); near != "" {
		f.hint("did you mean --%s?", near)
	}
	return f
}

// checkValues refuses a call in which the word "--" is the value of a flag: the value
// was probably an unset variable of the shell. For --key and --mutex, every word that
// begins with a dash is refused. A value after "=" may be any text.
func (a *app) checkValues(root *cobra.Command) error {
	all := a.words()
	if !adjacentDashes(all) || strings.HasPrefix(all[0], cobra.ShellCompRequestCmd) {
		return nil
	}
	c, args, err := root.Find(all)
	if err != nil || c.DisableFlagParsing {
		return nil
	}
	// pflag does not report whether a value followed "=". Such a value is marked here, so
	// it does not begin with a dash.
	const mark = "\x00"
	words := slices.Clone(args)
	for i, word := range words {
		words[i] = strings.Replace(word, "=-", "="+mark+"-", 1)
	}
	c.InitDefaultHelpFlag() // without it, pflag prints a help
	var f *failure
	_ = c.Flags().ParseAll(words, func(flag *pflag.Flag, value string) error { // cobra reports the other errors
		named := flag.Name == "key" || flag.Name == "mutex"
		if value != "--" && (!named || !strings.HasPrefix(value, "-")) {
			return nil
		}
		f = usage("--%s has no value: a variable may be unset", flag.Name).
			hint("if that is the value, write: --%s=%s", flag.Name, shellQuote(strings.ReplaceAll(value, mark, "")))
		return f
	})
	if f == nil {
		return nil
	}
	_ = c.ParseFlags(args) // for -q
	a.beginAnswer(c, args)
	return f
}

// adjacentDashes reports whether a word that begins with a dash follows another one.
func adjacentDashes(words []string) bool {
	for i := 1; i < len(words); i++ {
		if strings.HasPrefix(words[i-1], "-") && strings.HasPrefix(words[i], "-") {
			return true
		}
	}
	return false
}

// noArgs is the cobra.PositionalArgs of a command without arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no arguments", c.CommandPath()).hintForm(c.UseLine())
	}
	return nil
}

// oneArg returns the check of a command with one argument. what names the argument.
func oneArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return usage("%s requires a %s", c.CommandPath(), what).hintForm(c.UseLine())
		case 1:
			return nil
		}
		return usage("%s takes one %s, not %d", c.CommandPath(), what, len(args)).hintForm(c.UseLine())
	}
}

// someArgs returns the check of a command with one or more arguments.
func someArgs(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("%s requires a %s", c.CommandPath(), what).hintForm(c.UseLine())
		}
		return nil
	}
}

// closest returns the name that a word is probably a misspelling of. The word is the
// start of the name, or at most one third of its letters differ. It returns "" if no
// name or more than one name is that close. The plural of the word is the closest.
func closest(word string, names []string) string {
	const longest = 30
	if slices.Contains(names, word) { // after one dash
		return word
	}
	if len(word) < 3 || len(word) > longest {
		return ""
	}
	best, least, ties := "", max(1, len(word)/3)+1, 0
	for _, name := range names {
		d := edits(word, name)
		if len(word) >= 3 && strings.HasPrefix(name, word) {
			d = 1
		}
		if name == word+"s" || name == strings.TrimSuffix(word, "y")+"ies" {
			d = 0
		}
		switch {
		case d < least:
			best, least, ties = name, d, 0
		case d == least && best != "":
			ties++
		}
	}
	if ties > 0 {
		return ""
	}
	return best
}

// edits returns the number of edits that change a to b. An edit inserts, deletes or
// replaces a byte, or swaps two adjacent bytes.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range b {
		rows[0][j+1] = j + 1
	}
	for i := range len(a) {
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			rows[i+1][j+1] = min(rows[i][j+1]+1, rows[i+1][j]+1, rows[i][j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				rows[i+1][j+1] = min(rows[i+1][j+1], rows[i-1][j-1]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
