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
	completion := completionOf(args)
	if completion != nil {
		args = completion.words
	}
	becomeSibling(args)
	a := newApp(args)
	if completion != nil {
		if unfit == nil {
			a.complete(completion)
		}
		return exitOK
	}
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
	look       bool   // leave a ledger in a directory as it is, also one of an earlier version
	// connectTimeout is that of --connect-timeout.
	connectTimeout duration
	namespace      string  // of --namespace
	name           string  // the NAME of idem step
	answer         *answer // of idem run --json; else nil
	pager          pager
}

func newApp(args []string) *app {
	a := &app{args: args, now: time.Now, ui: ui{stdout: resultStdout(), stderr: os.Stderr, flagsPlace: "to the call"}}
	a.ui.ledgerPath = sync.OnceValue(a.ledgerPath)
	return a
}

// execute runs the command of the command line and returns its ending. It prints
// everything but the failure.
func (a *app) execute() ending {
	root := a.command(commandName(a.args))
	root.SetArgs(a.words())
	out := &stickyWriter{ui: &a.ui}
	root.SetOut(out)
	root.SetErr(a.ui.stderr)
	err := a.checkValues(root)
	if err == nil {
		err = root.ExecuteContext(context.Background())
	}
	if err == nil {
		err = out.err
	}
	return endingOf(a.endPager(err))
}

const rootLong = `idem runs a command once per key and remembers the result.

A key that succeeded never runs again: idem replays its output and its exit
status. The same key with different inputs is refused, and two callers with one
key never run at the same time.`

const rootExample = `  idem run --key deploy:prod:8471 -- ./deploy.sh
  idem run --key backup --per day -- ./backup.sh
  idem list
  idem show deploy:prod:8471`

// commandIndex returns the index of the first of args that is neither a flag of every command nor its
// value. If the line names a command, it is that word.
func commandIndex(args []string) int {
	at := 0
	for at < len(args) {
		switch name, _, joined := strings.Cut(args[at], "="); name {
		case "--ledger", "--namespace", "--connect-timeout":
			if !joined {
				at++
			}
		case "--trust-place":
		default:
			return at
		}
		at++
	}
	return len(args)
}

// commandName returns the name of the command of a command line, "" if it has none.
func commandName(args []string) string {
	at := commandIndex(args)
	if at < len(args) && slices.ContainsFunc(commands, func(c command) bool { return c.name == args[at] }) {
		return args[at]
	}
	return ""
}

// command is a command of idem, or one below it.
type command struct {
	name  string
	group string // in the list of commands
	make  func(*app) *cobra.Command
	below []command
}

// The groups of commands.
const (
	groupRun    = "Run"
	groupLook   = "Look"
	groupSettle = "Settle"
	groupLedger = "Ledger"
	groupOther  = "Other"

	groupAny    = "For any ledger"
	groupLocal  = "For a ledger in a directory (PostgreSQL has pg_dump instead)"
	groupShared = "For a ledger at a URL"
)

// commands are all commands but help. Those of a group follow each other.
var commands = []command{
	{"run", groupRun, (*app).runCommand, nil},
	{"step", groupRun, (*app).stepCommand, nil},
	{"each", groupRun, (*app).eachCommand, nil},
	{"list", groupLook, (*app).listCommand, nil},
	{"show", groupLook, (*app).showCommand, nil},
	{"logs", groupLook, (*app).logsCommand, nil},
	{"stats", groupLook, (*app).statsCommand, nil},
	{"check", groupLook, (*app).checkCommand, nil},
	{"explain", groupLook, (*app).explainCommand, nil},
	{"wait", groupLook, (*app).waitCommand, nil},
	{"report", groupLook, (*app).reportCommand, nil},
	{"mark", groupSettle, (*app).markCommand, nil},
	{"forget", groupSettle, (*app).forgetCommand, nil},
	{"gc", groupLedger, (*app).gcCommand, nil},
	{"ledger", groupLedger, (*app).ledgerCommand, []command{
		{"path", groupAny, (*app).ledgerPathCommand, nil},
		{"check", groupAny, (*app).ledgerCheckCommand, nil},
		{"export", groupAny, (*app).ledgerExportCommand, nil},
		{"import", groupAny, (*app).ledgerImportCommand, nil},
		{"repair", groupLocal, (*app).ledgerRepairCommand, nil},
		{"backup", groupLocal, (*app).ledgerBackupCommand, nil},
		{"restore", groupLocal, (*app).ledgerRestoreCommand, nil},
		{"move", groupLocal, (*app).ledgerMoveCommand, nil},
		{"init", groupShared, (*app).ledgerInitCommand, nil},
		{"confirm", groupShared, (*app).ledgerConfirmCommand, nil},
		{"sync", groupShared, (*app).ledgerSyncCommand, nil},
		{"upgrade", groupShared, (*app).ledgerUpgradeCommand, nil},
	}},
	{"doctor", groupLedger, (*app).doctorCommand, nil},
	{"key", groupOther, (*app).keyCommand, nil},
	{"token", groupOther, (*app).tokenCommand, nil},
	{"completion", groupOther, (*app).completionCommand, nil},
	{"version", groupOther, (*app).versionCommand, nil},
}

// skipsSoundCheck are the commands that open no files but those of the ledger, or that
// call checkSound themselves.
var skipsSoundCheck = []string{"run", "step", "list", "show", "token", "version", "completion", "help", ""}

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
			for _, name := range []string{"ledger", "namespace", "meta-file", "key", "tz", "at", "day-start", "probe", "verify", "stdout-file", "since", "until", "output", "html"} {
				if f := c.Flags().Lookup(name); f != nil && f.Changed && f.Value.String() == "" {
					return usage("--%s is empty: a variable may be unset", name)
				}
			}
			if !slices.Contains(skipsSoundCheck, pathOf(c)) {
				return checkSound()
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if printVersion {
				return a.print("idem " + version() + "\n")
			}
			if len(args) > 0 {
				return noCommand(a.args[:commandIndex(a.args)], args)
			}
			if c.Flags().NFlag() > 0 { // its value may be the command, if that of an unset variable is missing
				return usage("a command is missing after the flags").hint("to see the commands: idem --help")
			}
			return a.printPage(manual(c, true))
		},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if at := commandIndex(a.args); c == root && at < len(a.args) && !strings.HasPrefix(a.args[at], "-") {
			return noCommand(a.args[:at], a.args[at:])
		}
		var unknown *pflag.NotExistError
		if c.Name() == "help" && errors.As(err, &unknown) && topicOf(unknown.GetSpecifiedName()) != "" {
			return a.printPage(topicHelp(c.Root(), topicOf(unknown.GetSpecifiedName())))
		}
		if words := c.Flags().Args(); c != root && c.HasSubCommands() && len(words) > 0 {
			return withoutCommand(c, words)
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
	a.add(root, commands, only)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		a.page()
		_, _ = io.WriteString(c.OutOrStdout(), manual(c, wantsShort(args))) // Main checks for errors
	})
	root.SetHelpCommand(a.helpCommand())
	return root
}

// add adds the commands of a table below c, or only the one with a name.
func (a *app) add(c *cobra.Command, table []command, only string) {
	for _, one := range table {
		if only != "" && only != one.name {
			continue
		}
		sub := one.make(a)
		c.AddCommand(sub)
		a.add(sub, one.below, "")
	}
	if c.HasParent() {
		takeFlagsBelow(c)
	}
}

// takeFlagsBelow lets the flags of the commands below c come before their names.
func takeFlagsBelow(c *cobra.Command) {
	for _, sub := range c.Commands() {
		sub.Flags().VisitAll(func(f *pflag.Flag) {
			if c.Flag(f.Name) == nil {
				early := *f
				early.Hidden = true
				c.Flags().AddFlag(&early)
			}
		})
	}
}

// pathOf returns the words that name a command, such as "ledger check", "" for idem itself.
func pathOf(c *cobra.Command) string {
	_, path, _ := strings.Cut(c.CommandPath(), " ")
	return path
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
