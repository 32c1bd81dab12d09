package cmd

import (
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"
)

// A script need not wait for a minute to see what is said each minute.
func init() {
	if d, err := time.ParseDuration(os.Getenv("IDEM_TEST_REMIND")); err == nil {
		remindEvery = d
	}
}

// FlagsOfRun are the names of all flags of idem run.
func FlagsOfRun() (names []string) {
	run, _, _ := (&app{}).command("run").Find([]string{"run"})
	run.InheritedFlags() // adds those of the root
	run.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// Fits returns why idem run, or another command that takes its flags, refuses
// flags before it looks at anything else.
func Fits(flags []string) error {
	a := &app{}
	o := newRunOptions()
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	a.callFlags(f, o)
	f.StringVar(&a.ledger, "ledger", "", "")
	f.BoolVar(&a.trustPlace, "trust-place", false, "")
	namespaceFlag(f, &a.namespace, "")
	if err := f.Parse(flags); err != nil {
		return err
	}
	_, _, err := a.checkFlags(o)
	return err
}

// FlagsOfOthers are the flags that the commands have besides those of idem run and
// of every command, as "command flag".
func FlagsOfOthers() (flags []string) {
	root, of := (&app{}).command(""), FlagsOfRun()
	for _, c := range root.Commands() {
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if c.Name() != "run" && f.Name != "help" && !(slices.Contains(of, f.Name) && slices.Contains([]string{"check", "explain", "key"}, c.Name())) {
				flags = append(flags, c.Name()+" "+f.Name)
			}
		})
	}
	slices.Sort(flags)
	return flags
}
