package cmd

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/proc"
)

// disabled reports whether idem run is switched off. It then executes the command
// even if its flags are invalid, because the caller needs the command to run now.
func disabled() bool { return os.Getenv(disableVar) == "1" }

const disableVar = "IDEM_DISABLE"

// warnNotDisabled warns of a value of IDEM_DISABLE such as "true", which does not
// switch idem run off. Only 1 does.
func (a *app) warnNotDisabled() {
	if v := os.Getenv(disableVar); v != "" && v != "0" && v != "1" {
		a.ui.warn("%s is %s, which is neither 1 nor 0: idem is not disabled", disableVar, quote(v))
	}
}

// runDisabled is idem run while it is switched off. args are not parsed. Only the
// flag -n has an effect: without it, the command would read the stdin of a loop
// around the call.
func (a *app) runDisabled(c *cobra.Command, args []string) error {
	if c.Name() == "step" && a.name == "" { // flags before NAME; the command is after "--" in any case
		if end := slices.Index(args, "--"); end > 0 && !strings.HasPrefix(args[end-1], "-") {
			args = slices.Delete(slices.Clone(args), end-1, end)
		}
	}
	argv, noStdin, help := commandIn(c, args)
	if help {
		return c.Help()
	}
	if err := checkCommandLine(argv); err != nil {
		return err
	}
	f := failureOf(replaceProcess(argv, noStdin))
	hides := func(arg string) bool {
		return strings.HasPrefix(arg, "--redact") || strings.HasPrefix(arg, "--no-store")
	}
	if !slices.ContainsFunc(args, hides) { // else a hint could show a value that the flags hide
		a.hintStart(f, argv, retention{})
	}
	return f
}

// replaceProcess replaces idem by the command. It returns only on an error.
func replaceProcess(argv []string, noStdin bool) error {
	path, err := proc.LookPath(argv[0])
	if err != nil {
		return err
	}
	return proc.Become(path, argv, noStdin)
}

// commandIn returns the command in the arguments of idem run and whether -n and a
// flag for help are among them. It does not check the values of flags. An unknown
// flag may or may not take a value, so after one the command begins at the next "--".
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
		default: // no short flag takes a value
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
