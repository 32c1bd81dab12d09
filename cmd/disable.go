package cmd

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/proc"
)

// disabled reports whether idem run is switched off. It then becomes the command,
// whatever is wrong with its flags: the caller needs the command to run now.
func disabled() bool { return os.Getenv(disableVar) == "1" }

const disableVar = "IDEM_DISABLE"

// warnNotDisabled warns of a value that looks as if it switched idem run off, which
// 1 alone does.
func (a *app) warnNotDisabled() {
	if v := os.Getenv(disableVar); v != "" && v != "0" && v != "1" {
		a.ui.warn("%s is %s, which is neither 1 nor 0: idem is not disabled", disableVar, quote(v))
	}
}

// runDisabled is idem run, switched off; args are not parsed. Of all flags -n
// alone counts: without it the command would take the stdin that a loop around it
// reads from.
func (a *app) runDisabled(c *cobra.Command, args []string) error {
	argv, noStdin, help := commandIn(c, args)
	if help {
		return c.Help()
	}
	if len(argv) == 0 {
		return usage("idem run requires a command").hintForm("idem run --key KEY -- COMMAND [ARG...]")
	}
	if argv[0] == "" {
		return usage("the command is empty: a variable may be unset")
	}
	f := failureOf(become(argv, noStdin))
	hides := func(arg string) bool {
		return strings.HasPrefix(arg, "--redact") || strings.HasPrefix(arg, "--no-store")
	}
	if !slices.ContainsFunc(args, hides) { // what they are to hide is not looked at
		a.mendStart(f, argv, retention{})
	}
	return f
}

// become becomes the command, as if idem had not been called.
func become(argv []string, noStdin bool) error {
	path, err := proc.LookPath(argv[0])
	if err != nil {
		return err
	}
	return proc.Become(path, argv, noStdin)
}

// commandIn finds the command in the arguments of idem run without a look at the
// values of flags. Behind a flag that idem does not know, it is what follows the
// first "--": whether such a flag takes a value is not known.
func commandIn(c *cobra.Command, args []string) (argv []string, noStdin, help bool) {
	takesValue := func(f *pflag.Flag) bool { return f.NoOptDefVal == "" }
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, _, valued := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		var f *pflag.Flag
		switch {
		case arg == "--":
			return args[i+1:], noStdin, false
		case len(arg) < 2 || arg[0] != '-':
			if i > 0 && args[i-1] == "--wait" && i+1 < len(args) && args[i+1] == "--" && new(wait).Set(arg) == nil {
				return args[i+2:], noStdin, false
			}
			return args[i:], noStdin, false
		case strings.HasPrefix(arg, "--"):
			f = c.Flag(name)
			help = help || name == "help"
		default: // all short flags are without a value
			for _, r := range arg[1:] {
				f = c.Flags().ShorthandLookup(string(r))
				help = help || r == 'h'
				if f == nil {
					break
				}
				noStdin = noStdin || f.Name == "no-stdin"
			}
			valued = true
		}
		switch {
		case help:
			return nil, false, true
		case f == nil:
			if end := slices.Index(args[i:], "--"); end >= 0 {
				return args[i+end+1:], noStdin || slices.Contains(args[i:i+end], "-n"), false
			}
			return nil, false, false
		case takesValue(f) && !valued:
			i++
		}
		noStdin = noStdin || f.Name == "no-stdin"
	}
	return nil, false, false
}
