// Package cmd is idem's command line: flags, wiring, messages and exit
// statuses. It alone prints, reads flags and the environment, and exits.
package cmd

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/drivers"
	"idem/proc"
)

// Main runs idem with the arguments that follow its name and returns its exit
// status. It does not return when a command died of a signal: then idem dies of
// the same signal.
func Main(args []string) int {
	if status, keeper := drivers.Keeper(args); keeper {
		return status
	}
	unfit := proc.Fit()
	if status, helper := proc.Helper(args); helper {
		return status
	}
	becomeSibling(args)
	a := newApp(args)
	var end ending
	if unfit != nil {
		end = failureEnding(&failure{code: exitLedger, err: unfit})
	} else {
		end = a.execute()
	}
	if end.failure != nil {
		a.ui.fail(end.failure)
	}
	if a.answer != nil {
		if end = a.writeAnswer(end); end.failure != nil {
			a.ui.fail(end.failure)
		}
	}
	if end.signal != 0 {
		proc.DieOf(end.signal, end.group)
	}
	return end.code
}

// app is one command line. All commands share its streams and the flags of the
// root. No command changes it after its flags are parsed.
type app struct {
	args       []string // the arguments that follow the program's name
	ui         ui
	now        func() time.Time
	ledger     string // of --ledger
	trustPlace bool   // of --trust-place
	// connectTimeout is that of --connect-timeout.
	connectTimeout duration
	namespace      string  // of --namespace
	name           string  // the NAME of idem step
	answer         *answer // of idem run --json; else nil
}

func newApp(args []string) *app {
	a := &app{args: args, now: time.Now, ui: ui{stdout: os.Stdout, stderr: os.Stderr, flagsPlace: "to the call"}}
	a.ui.ledgerPath = sync.OnceValue(a.ledgerPath)
	return a
}

// execute runs the command of the command line and returns its ending. It prints
// everything but the failure.
func (a *app) execute() ending {
	root := a.command(commandName(a.args))
	root.SetArgs(a.words())
	out := &stickyWriter{to: a.ui.stdout}
	root.SetOut(out)
	root.SetErr(a.ui.stderr)
	err := a.checkValues(root)
	if err == nil {
		err = root.ExecuteContext(context.Background())
	}
	if err == nil {
		err = out.err
	}
	return endingOf(err)
}

const rootLong = `idem runs a command once per key and remembers the result.

A key that succeeded never runs again: idem replays its output and its exit
status. The same key with different inputs is refused, and two callers with one
key never run at the same time.`

const rootExample = `  idem run --key deploy:prod:8471 -- ./deploy.sh
  idem run --key backup --per day -- ./backup.sh
  idem list
  idem show deploy:prod:8471`

// commandName returns the name of the command that is the first of args, "" if the
// first is not a command.
func commandName(args []string) string {
	for _, c := range commands {
		if len(args) > 0 && args[0] == c.name {
			return c.name
		}
	}
	return ""
}

// command is a command of idem.
type command struct {
	name string
	make func(*app) *cobra.Command
}

// commands are all commands but help.
var commands = []command{
	{"run", (*app).runCommand},
	{"step", (*app).stepCommand},
	{"each", (*app).eachCommand},
	{"check", (*app).checkCommand},
	{"explain", (*app).explainCommand},
	{"key", (*app).keyCommand},
	{"token", (*app).tokenCommand},
	{"wait", (*app).waitCommand},
	{"list", (*app).listCommand},
	{"show", (*app).showCommand},
	{"logs", (*app).logsCommand},
	{"forget", (*app).forgetCommand},
	{"mark", (*app).markCommand},
	{"ledger", (*app).ledgerCommand},
	{"completion", (*app).completionCommand},
	{"version", (*app).versionCommand},
}

// skipsSoundCheck are the commands that open no files but those of the ledger, or that
// call checkSound themselves.
var skipsSoundCheck = []string{"run", "step", "list", "show", "token", "version", "completion", "help", "idem"}

// checkSound refuses a call where Go's runtime would end the process at the first file
// or timer: under a tiny limit or in a sandbox.
func checkSound() error {
	if err := proc.Sound(); err != nil {
		return &failure{code: exitLedger, err: err}
	}
	return nil
}

// command returns the tree of commands. If only names a command, the tree has no
// other command: making the flags of all commands takes 4 % of the time of a replay.
func (a *app) command(only string) *cobra.Command {
	var printVersion bool // Command.Version of cobra would link text/template
	root := &cobra.Command{
		Use:           "idem",
		Short:         "Run a command once per key",
		Long:          rootLong,
		Example:       rootExample,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		PersistentPreRunE: func(c *cobra.Command, args []string) error {
			if printVersion {
				return nil
			}
			a.beginAnswer(c, nil)
			a.ui.flagsPlace = flagsPlace(c, args)
			for _, name := range []string{"ledger", "namespace", "meta-file", "key", "tz", "at", "day-start", "probe", "verify", "stdout-file"} {
				if f := c.Flags().Lookup(name); f != nil && f.Changed && f.Value.String() == "" {
					return usage("--%s is empty: a variable may be unset", name)
				}
			}
			if !slices.Contains(skipsSoundCheck, c.Name()) {
				return checkSound()
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if printVersion {
				return a.print("idem " + version() + "\n")
			}
			if len(args) > 0 {
				return noCommand(args)
			}
			return a.print(manual(c, true))
		},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if c == root && len(a.args) > 0 && !strings.HasPrefix(a.args[0], "-") {
			return noCommand(a.args)
		}
		var unknown *pflag.NotExistError
		if c.Name() == "help" && errors.As(err, &unknown) && topicOf(unknown.GetSpecifiedName()) != "" {
			return a.print(topicHelp(c.Root(), topicOf(unknown.GetSpecifiedName())))
		}
		a.beginAnswer(c, a.args)
		return flagFailure(c, err)
	})
	root.Flags().BoolVar(&printVersion, "version", false, "print the version")
	flags := root.PersistentFlags()
	flags.StringVar(&a.ledger, "ledger", "", "use the ledger in `DIR` or at the URL postgres://... (IDEM_LEDGER; default: "+placeHelp+")")
	flags.BoolVar(&a.trustPlace, "trust-place", os.Getenv(trustVar) == "1", "accept a ledger below a directory that other users can write to (IDEM_TRUST_PLACE=1); such a user can replace the ledger, and keys then run again")
	flags.Lookup("trust-place").DefValue = ""
	a.connectTimeout.Duration = defaultConnectTimeout
	flags.Var(&a.connectTimeout, "connect-timeout", "try for `DURATION` to reach a shared ledger")
	flags.Lookup("connect-timeout").Hidden = true // idem help shared has it; it would widen each page
	namespaceFlag(flags, &a.namespace, "use the keys of namespace `NAME` (IDEM_NAMESPACE; default \""+defaultNamespace+"\")")
	for _, c := range commands {
		if only == "" || only == c.name {
			root.AddCommand(c.make(a))
		}
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		_, _ = io.WriteString(c.OutOrStdout(), manual(c, wantsShort(args))) // Main checks for errors
	})
	root.SetHelpCommand(a.helpCommand())
	return root
}

func namespaceFlag(f *pflag.FlagSet, value *string, usage string) {
	f.StringVar(value, "namespace", os.Getenv("IDEM_NAMESPACE"), usage)
	f.Lookup("namespace").DefValue = ""
}

// defaultNamespace is the namespace of a call without --namespace and IDEM_NAMESPACE.
const defaultNamespace = "default"

// id checks a key and the namespace of the call, and returns the ID of the record
// without a window.
func (a *app) id(key string, allowEmptyParts bool) (ledger.ID, error) {
	id, err := a.inNamespace(key)
	if err != nil {
		return id, err
	}
	switch err := hashkey.CheckKey(key, allowEmptyParts); {
	case errors.Is(err, hashkey.ErrEmptyPart):
		return id, usage("key %s %v: a variable may be unset", quote(key), err).hintFlags("if the part is meant to be empty", "--allow-empty-parts")
	case err != nil:
		return id, usage("key %s %v", quote(key), err)
	}
	return id, nil
}

// recordedID is id for a key that may be recorded: it may be the key of an item, or have
// an empty part.
func (a *app) recordedID(key string) (ledger.ID, error) {
	id, err := a.inNamespace(key)
	if err != nil {
		return id, err
	}
	if err := hashkey.CheckPath(key); err != nil {
		return id, usage("key %s %v", quote(key), err)
	}
	return id, nil
}

// inNamespace returns the ID of a key in the namespace of the call.
func (a *app) inNamespace(key string) (ledger.ID, error) {
	id := ledger.ID{Namespace: cmp.Or(a.namespace, defaultNamespace), Key: key}
	return id, checkNamespace(id.Namespace)
}

func checkNamespace(name string) error {
	if err := hashkey.CheckNamespace(name); err != nil {
		return usage("namespace %s %v", quote(name), err)
	}
	return nil
}
