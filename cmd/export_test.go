package cmd

import (
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// This shortens the minute between two messages of a waiting call for the
// scripts.
func init() {
	if d, err := time.ParseDuration(os.Getenv("IDEM_TEST_REMIND")); err == nil {
		remindEvery = d
	}
}

// FlagsOfRun returns the names of all flags of idem run.
func FlagsOfRun() (names []string) {
	run, _, _ := (&app{}).command("run").Find([]string{"run"})
	run.InheritedFlags() // adds the flags of the root
	run.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// ShellForms returns the lines of idem help shell. Each follows the shell that it
// requires, and a space.
func ShellForms() (lines []string) {
	for _, f := range shellForms {
		lines = append(lines, f.shell+" "+f.line)
	}
	return lines
}

// Fits returns the error with which idem run, or another command that takes its
// flags, refuses flags before it looks at anything else.
func Fits(flags []string) error {
	a := &app{}
	o := newRunOptions()
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	a.callFlags(f, o)
	o.jsonFlag(f)
	f.StringVar(&a.ledger, "ledger", "", "")
	f.Var(&a.connectTimeout, "connect-timeout", "")
	f.BoolVar(&a.trustPlace, "trust-place", false, "")
	namespaceFlag(f, &a.namespace, "")
	if err := f.Parse(flags); err != nil {
		return err
	}
	_, _, err := a.checkFlags(o)
	return err
}

// FlagsOfOthers returns the flags of the other commands, apart from those of
// idem run and those of every command. The form of each is "command: flag".
func FlagsOfOthers() (flags []string) {
	root, of := (&app{}).command(""), FlagsOfRun()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		path := pathOf(c)
		if path == "" || path == "run" || c.HasSubCommands() { // those below it have its flags
			return
		}
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !(slices.Contains(of, f.Name) && slices.Contains([]string{"check", "explain", "key", "step"}, path)) {
				flags = append(flags, path+": "+f.Name)
			}
		})
	}
	walk(root)
	slices.Sort(flags)
	return flags
}

// ExitStatuses returns the exit statuses of idem run, as the help names them.
func ExitStatuses() (codes []string) {
	for _, row := range exitTable {
		codes = append(codes, row.code)
	}
	return codes
}

// BatchLines are the loop and the batch of idem help batches.
func BatchLines() (loop, batch string) { return loopLines, batchLines }

// ScriptLines is the script of idem help scripts.
func ScriptLines() string { return scriptLines }

// Cells is cells.
func Cells(text string) int { return cells(text) }
