// Package cmd is idem's command line: flags, wiring, messages and exit
// statuses. It alone prints, reads flags and the environment, and exits.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"idem/hashkey"
	"idem/ledger"
)

// Main runs idem with the arguments behind its name and returns its exit
// status. It does not return when a command died of a signal: then idem dies of
// the same signal.
func Main(args []string) int {
	growStack(args == nil && len(os.Args) == 0)
	a := &app{args: args, ui: ui{stdout: os.Stdout, stderr: os.Stderr}}
	root := a.command()
	root.SetArgs(args)
	asked := &askedFor{to: a.ui.stdout}
	root.SetOut(asked)
	root.SetErr(os.Stderr)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		err = asked.err
	}
	if err == nil {
		return a.exit
	}
	f := failureOf(err)
	a.ui.fail(f)
	return f.code
}

// app is what the commands share.
type app struct {
	args      []string // behind the program's name
	ui        ui
	ledger    string
	namespace string
	exit      int // status of a command that did what it was asked to
}

const rootLong = `idem runs a command once per key and remembers what happened.

A key that succeeded never runs again: its output and its exit status are
replayed. The same key with other arguments is refused, and two callers with
one key never run at the same time.`

const rootExample = `  idem run --key deploy:prod:4f2c1e -- ./deploy.sh
  idem list
  idem show deploy:prod:4f2c1e`

// wants says for people what strconv's functions could not read.
var wants = map[string]string{"ParseInt": "want a number", "ParseBool": "want true or false"}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "idem",
		Short:         "Run a command once per key",
		Long:          rootLong + "\n\n" + exitHelp() + "\n" + environmentHelp,
		Example:       rootExample,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			for _, name := range []string{"ledger", "namespace", "meta-file"} {
				if f := c.Flags().Lookup(name); f != nil && f.Changed && f.Value.String() == "" {
					return usage("--%s is empty: a variable may be unset", name)
				}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("%s is no command of idem", quote(args[0])).hint("idem --help lists them; to run a command: idem run --key KEY -- %s", commandLine(args))
			}
			return c.Help()
		},
	}
	root.SetVersionTemplate("idem {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		text := err.Error()
		if num := (*strconv.NumError)(nil); errors.As(err, &num) {
			text = strings.Replace(text, num.Error(), wants[num.Func], 1)
		}
		return usage("%s", text).hint("%s --help lists the flags", c.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVar(&a.ledger, "ledger", os.Getenv("IDEM_LEDGER"), "`DIR` of the ledger (IDEM_LEDGER;\n"+placeHelp+")")
	flags.Lookup("ledger").DefValue = ""
	flags.StringVar(&a.namespace, "namespace", os.Getenv("IDEM_NAMESPACE"), "`NAME` that keeps keys apart (IDEM_NAMESPACE; default \"default\")")
	flags.Lookup("namespace").DefValue = ""
	root.AddCommand(a.runCommand(), a.listCommand(), a.showCommand(), a.logsCommand(), a.forgetCommand(), a.markCommand(), a.completionCommand(), a.versionCommand())
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(a.helpCommand())
	return root
}

// id returns the record that a key names, after it has checked the key.
func (a *app) id(key string, allowEmptyParts bool) (ledger.ID, error) {
	id := ledger.ID{Namespace: a.namespace, Key: key}
	if id.Namespace == "" {
		id.Namespace = "default"
	}
	if err := checkNamespace(id.Namespace); err != nil {
		return id, err
	}
	switch err := hashkey.CheckKey(key, allowEmptyParts); {
	case errors.Is(err, hashkey.ErrEmptyPart):
		return id, usage("key %s %v: a variable may be unset", quote(key), err).hint("--allow-empty-parts permits it")
	case err != nil:
		return id, usage("key %s %v", quote(key), err)
	}
	return id, nil
}

func checkNamespace(name string) error {
	if err := hashkey.CheckNamespace(name); err != nil {
		return usage("namespace %s %v", quote(name), err)
	}
	return nil
}

// exactArgs is cobra.ExactArgs with a message that says what is missing.
func exactArgs(n int, want string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("%s wants %s, not %d arguments", c.CommandPath(), want, len(args)).hint("%s", strings.TrimSpace(c.UseLine()))
		}
		return nil
	}
}

func exitHelp() string {
	var b strings.Builder
	b.WriteString("Exit status:\n")
	for _, row := range exitTable {
		fmt.Fprintf(&b, "  %-6s %s\n", row.code, row.meaning)
	}
	return b.String()
}

const environmentHelp = `Environment:
  IDEM_LEDGER      the ledger's directory, as --ledger
  IDEM_NAMESPACE   the namespace, as --namespace
  STATE_DIRECTORY, XDG_STATE_HOME, HOME
                   where the ledger is by default
A command finds in its environment: IDEM_KEY, IDEM_NAMESPACE, IDEM_WINDOW,
IDEM_RUN_ID, IDEM_ATTEMPT, IDEM_FENCE (a number that only grows for the key),
IDEM_LEDGER, IDEM_TOKEN (a UUID for Idempotency-Key headers, the same for every
attempt), IDEM_TOKEN_HEX (the same without dashes) and IDEM_CHAIN (the keys it
runs under).`
