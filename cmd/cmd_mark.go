package cmd

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/ledger"
	"idem/runner"
)

// marks are the ways to settle a key, by the word for them.
var marks = map[string]ledger.State{"done": ledger.Succeeded, "failed": ledger.Failed, "retry": ledger.None}

func markName(s ledger.State) string {
	for name, state := range marks {
		if state == s {
			return name
		}
	}
	return string(s)
}

const markLong = `Settle a key by hand, mostly one that was interrupted. HOW is one of

  done     it was done: later calls replay success, with the output of
           --stdout-file or none
  failed   it was not done: later calls do what --on-failure says
  retry    run it again at the next call, with the same IDEM_TOKEN

A key that never ran is settled in the same way before its first call. It then
counts for calls with any inputs, or with a command (and the --hash-* flags of
its calls) for those alone. A key that has inputs keeps them; --replace gives it
those of the command.

A running key is refused (status 75). A key that succeeded is only touched with
--force; "done" then leaves it as it is. Every mark is kept in the key's history
with the note, the user and the time.`

type markOptions struct {
	key             string
	allowEmptyParts bool
	calendarFlags
	inputs inputFlags
	storing
	record     *whichFlags
	note       string
	force      bool
	replace    bool
	exitCode   int
	stdoutFile string
	maxOutput  size
	cut        bool // --max-output is given: what is more may be cut
}

const markUse = "mark HOW [flags] KEY [-- COMMAND [ARG...]]"

func (a *app) markCommand() *cobra.Command {
	o := &markOptions{calendarFlags: newCalendarFlags(), inputs: newInputFlags(), maxOutput: defaultMaxOutput}
	c := &cobra.Command{
		Use:   markUse,
		Short: "Settle a key by hand",
		Long:  markLong + whichLong + refuseLong,
		Example: `  idem mark done payment:4711 --note 'found in the bank statement'
  idem mark done backup --per day --stdout-file backup.log -- ./backup.sh`,
		ValidArgs: []string{"done", "failed", "retry"},
		RunE: func(c *cobra.Command, args []string) error {
			name, argv, err := o.words(args, c.ArgsLenAtDash())
			if err != nil {
				return err
			}
			if err := o.check(c.Flags(), name, argv); err != nil {
				return err
			}
			return a.mark(c.Context(), name, argv, o)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	emptyPartsFlag(f, &o.allowEmptyParts)
	o.calendarFlags.flags(f, oncePer)
	o.inputs.flags(f)
	o.record = newWhichFlags(c, &o.calendarFlags, false)
	o.storing.flags(f)
	f.StringVar(&o.note, "note", "", "`TEXT` that says why, for the history")
	f.IntVar(&o.exitCode, "exit-code", 0, "record that the command exited with `N`: after done idem exits 0 all the same, as with --ok; after failed, --on-failure replay exits with it (default 1)")
	f.StringVar(&o.stdoutFile, "stdout-file", "", "record the content of `PATH` as the output, \"-\" for stdin")
	f.Var(&o.maxOutput, "max-output", "how much of it, as idem run does: `SIZE`")
	f.BoolVar(&o.replace, "replace", false, "the key counts for the command from now on, whatever its inputs were")
	f.BoolVar(&o.force, "force", false, "also a key that succeeded")
	return c
}

// words takes the arguments apart: how, the key, and the command behind a "--",
// which stands at dash or, after a key that needs one itself, among the words.
func (o *markOptions) words(args []string, dash int) (name string, argv []string, err error) {
	if len(args) < 2 {
		return "", nil, usage("idem mark requires done, failed or retry, and one key").hintForm("idem " + markUse)
	}
	name, o.key, argv = args[0], args[1], args[2:]
	if dash != 2 && len(argv) > 0 {
		if argv[0] != "--" {
			return "", nil, usage("idem mark requires one key, and a command only behind a --, not %s", quoteWord(argv[0])).hintForm("idem " + markUse)
		}
		argv = argv[1:]
	}
	if dash == 2 && len(argv) == 0 || len(argv) > 0 && argv[0] == "" {
		return "", nil, usage("the command is empty: a variable may be unset")
	}
	if _, ok := marks[name]; !ok {
		return "", nil, usage("idem mark requires done, failed or retry, not %s", quoteWord(name))
	}
	return name, argv, nil
}

// check refuses flags with a bad value, and those that do not go together.
func (o *markOptions) check(f *pflag.FlagSet, name string, argv []string) error {
	o.cut = f.Changed("max-output")
	switch {
	case o.key == "":
		return usage("idem mark requires one key as its argument").hintForm("idem " + markUse)
	case o.exitCode < 0 || o.exitCode > 255:
		return usage("--exit-code requires a number from 0 to 255")
	case name == "failed" && f.Changed("exit-code") && o.exitCode == 0:
		return usage("--exit-code: no failure exits with status 0")
	}
	return o.fits(name, len(argv) > 0)
}

func (a *app) mark(ctx context.Context, name string, argv []string, o *markOptions) error {
	id, err := a.id(o.key, true) // it may be recorded with empty parts
	if err != nil {
		return err
	}
	keep, err := a.remember(&o.storing, o.key)
	if err != nil {
		return err
	}
	want, err := o.record.which(a.now())
	if err != nil {
		return err
	}
	h := runner.Settlement{
		State: marks[name], ExitCode: o.exitCode, RunID: newRunID(), Owner: owner(),
		Note:  string(keep.redactor.Bytes([]byte(o.note))),
		Bound: len(argv) > 0, Replace: o.replace, Force: o.force, MaxOutput: o.maxOutput.bytes,
	}
	if h.State == ledger.Failed {
		h.ExitCode = cmp.Or(h.ExitCode, 1)
	}
	if o.stdoutFile != "" {
		f, err := openOutput(o.stdoutFile, o.maxOutput, o.cut)
		if err != nil {
			return err
		}
		defer f.file.Close()
		h.Stdout, h.Capture = keep.redacted(f)
		if keep.no.output {
			h.MaxOutput = 0 // it is only counted
		}
	}
	l, err := a.openLedger()
	if err != nil {
		return err
	}
	in, _, err := o.inputs.collect(ctx, argv, naming{l})
	if err != nil {
		return err
	}
	h.Fingerprint, h.Inputs = in.Fingerprint(), keep.inputs(in).Encode()
	if id, err = a.recordOf(ctx, l, id, want, o); err != nil {
		return err
	}
	was, err := runner.Mark(ctx, l, id, h)
	switch {
	case errors.Is(err, runner.ErrNothing):
		return nothingUnder(ctx, l, id)
	case errors.Is(err, runner.ErrInputs):
		return mismatchFailure(was, runner.Call{Inputs: runner.Inputs{Fingerprint: h.Fingerprint, Encoded: h.Inputs}}).unhinted().
			hintFlags("to let the key count for this command from now on", "--replace")
	case errors.Is(err, runner.ErrSame):
		a.ui.note("key %s is not marked: %v", quote(o.key), err)
		return nil
	case errors.Is(err, runner.ErrDone):
		return usage("key %s is not marked: %v", quote(o.key), err).hintFlags("to mark it all the same", "--force")
	case err != nil:
		return err
	}
	a.ui.note("marked key %s%s %s", quote(o.key), inWindow(id), name)
	return nil
}

// recordOf returns the record of a key that the flags mean. A new one must have a
// key that a call can have.
func (a *app) recordOf(ctx context.Context, l ledger.Store, id ledger.ID, want runner.Which, o *markOptions) (ledger.ID, error) {
	rec, err := a.find(ctx, l, id, want, o.record)
	if err != nil || rec.Phase() != ledger.PhaseNone {
		return rec.ID, err
	}
	_, err = a.id(id.Key, o.allowEmptyParts)
	return rec.ID, err
}
