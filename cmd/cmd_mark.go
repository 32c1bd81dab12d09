package cmd

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/ledger"
	"idem/runner"
)

// marks returns the states that idem mark records, by the argument that names them.
func marks() map[string]ledger.State {
	return map[string]ledger.State{"done": ledger.Succeeded, "failed": ledger.Failed, "retry": ledger.None}
}

func markName(s ledger.State) string {
	for name, state := range marks() {
		if state == s {
			return name
		}
	}
	return string(s)
}

const markLong = `Settle a key by hand, usually one that was interrupted. HOW is one of:

  done     it is done: later calls replay a success, with the output of
           --stdout-file or without output
  failed   it is not done: later calls do what --on-failure says
  retry    the next call runs it again, with the same IDEM_TOKEN

You can also settle a key before its first run. Without a command, the mark
applies whatever the inputs are. With a command, it applies only to calls with
the same command and --hash-* flags. A key that has inputs keeps them, unless
--replace gives it those of the command.

With --under, all steps or items below a key that are in one state are settled.
Those that run by then are left as they are (status 75).

A running key is refused (status 75). A success is changed only with --force,
and never by "done". The history of the key has every mark, with its note, user
and time.`

type markOptions struct {
	key             string
	below           underFlags
	allowEmptyParts bool
	calendarFlags
	inputs inputFlags
	storeFlags
	record     *recordFlags
	note       string
	force      bool
	replace    bool
	exitCode   int
	stdoutFile string
	maxOutput  size
	json       bool
	cut        bool // --max-output is given, so a longer output is cut, not refused
}

const markUse = "mark HOW [flags] KEY [-- COMMAND [ARG...]]"

func (a *app) markCommand() *cobra.Command {
	o := &markOptions{inputs: newInputFlags(), maxOutput: defaultMaxOutput}
	c := &cobra.Command{
		Use:   markUse,
		Short: "Settle a key by hand",
		Long:  markLong + recordLong + refuseLong,
		Example: `  idem mark done payment:4711 --note 'found in the bank statement'
  idem mark done backup --per day --stdout-file backup.log -- ./backup.sh
  idem mark retry --under backfill --interrupted`,
		ValidArgs: []string{"done", "failed", "retry"},
		RunE: func(c *cobra.Command, args []string) error {
			name, argv, err := o.parseArgs(args, c.ArgsLenAtDash())
			if err != nil {
				return err
			}
			if err := o.check(c.Flags(), name, argv); err != nil {
				return err
			}
			if o.below.under != "" {
				return a.markBelow(c.Context(), name, o)
			}
			return a.mark(c.Context(), name, argv, o)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	emptyPartsFlag(f, &o.allowEmptyParts)
	o.calendarFlags.addTo(f, recordPer)
	o.inputs.addTo(f)
	o.record = newRecordFlags(c, &o.calendarFlags, false)
	o.below.record = o.record
	o.below.addTo(c, "settle", ledger.PhaseInterrupted, ledger.PhaseFailed, ledger.PhaseSucceeded, ledger.PhaseRetry)
	o.storeFlags.addTo(f)
	f.StringVar(&o.note, "note", "", "record `TEXT` as the reason in the history")
	f.IntVar(&o.exitCode, "exit-code", 0, "record exit status `N` (default: 0 for done, 1 for failed); a replay of done still exits 0, as with --ok")
	f.StringVar(&o.stdoutFile, "stdout-file", "", "record the content of the file `PATH` as the output (\"-\": stdin)")
	f.Var(&o.maxOutput, "max-output", "record at most `SIZE` of it, such as 10MiB, 0 or unlimited")
	f.BoolVar(&o.replace, "replace", false, "apply the key to the given command from now on, whatever its inputs were")
	f.BoolVar(&o.force, "force", false, "overwrite a success")
	f.BoolVar(&o.json, "json", false, "print a JSON object: the record as it then is, or with --under the numbers of keys")
	return c
}

// parseArgs parses the arguments: HOW, the key, and the command after a "--". dash is
// the number of arguments before the first "--", or -1. A key that begins with a dash
// needs that "--" itself; the "--" of the command is then one of args.
func (o *markOptions) parseArgs(args []string, dash int) (name string, argv []string, err error) {
	if o.below.under != "" && len(args) > 1 {
		return "", nil, usage("idem mark: unexpected argument %s with --under", quoteWord(args[1]))
	}
	if o.below.under != "" && len(args) == 1 {
		args, dash = append(args, o.below.under), -1
	}
	if len(args) < 2 {
		return "", nil, usage("idem mark requires done, failed or retry, and a key").hintForm("idem " + markUse)
	}
	name, o.key, argv = args[0], args[1], args[2:]
	if dash != 2 && len(argv) > 0 {
		if argv[0] != "--" {
			return "", nil, usage("idem mark: unexpected argument %s after the key", quoteWord(argv[0])).
				detail("the command comes after a --").hintForm("idem " + markUse)
		}
		argv = argv[1:]
	}
	if dash == 2 && len(argv) == 0 || len(argv) > 0 && argv[0] == "" {
		return "", nil, usage("the command is empty: a variable may be unset")
	}
	if _, ok := marks()[name]; !ok {
		return "", nil, usage("idem mark requires done, failed or retry, not %s", quoteWord(name))
	}
	return name, argv, nil
}

// check refuses flags with an invalid value and flags that cannot be combined.
func (o *markOptions) check(f *pflag.FlagSet, name string, argv []string) error {
	o.cut = f.Changed("max-output")
	switch {
	case o.key == "":
		return usage("idem mark takes the key as an argument").hintForm("idem " + markUse)
	case o.exitCode < 0 || o.exitCode > 255:
		return usage("--exit-code requires a number from 0 to 255")
	case name == "failed" && f.Changed("exit-code") && o.exitCode == 0:
		return usage("--exit-code: a failure can't have status 0")
	}
	return o.checkPairs(name, len(argv) > 0)
}

func (a *app) mark(ctx context.Context, name string, argv []string, o *markOptions) error {
	id, err := a.recordedID(o.key)
	if err != nil {
		return err
	}
	keep, err := a.retention(&o.storeFlags, o.key)
	if err != nil {
		return err
	}
	want, err := o.record.selector(a.now())
	if err != nil {
		return err
	}
	h := o.settlement(name, keep)
	h.RunID, h.Bound, h.Replace = newRunID(), len(argv) > 0, o.replace
	if o.stdoutFile != "" {
		f, err := openOutput(o.stdoutFile, o.maxOutput, o.cut)
		if err != nil {
			return err
		}
		defer f.file.Close()
		h.Stdout, h.Capture = keep.redactedReader(f)
		if keep.omit.output {
			h.MaxOutput = 0 // the bytes are only counted
		}
	}
	l, err := a.openLedger()
	if err != nil {
		return err
	}
	in, _, err := o.inputs.collect(ctx, argv, markSource{l})
	if err != nil {
		return err
	}
	h.Fingerprint, h.Inputs = in.Fingerprint(), keep.inputs(in).Encode()
	if id, h.Origin, err = a.recordOf(ctx, l, id, want, o); err != nil {
		return err
	}
	was, err := runner.Mark(ctx, l, id, h)
	switch {
	case errors.Is(err, runner.ErrNothing):
		return notRecordedFailure(ctx, l, id)
	case errors.Is(err, runner.ErrInputs):
		return mismatchFailure(was, runner.Call{Inputs: runner.Inputs{Fingerprint: h.Fingerprint, Encoded: h.Inputs}}).withoutHints().
			hintFlags("to apply the key to this command from now on", "--replace")
	case errors.Is(err, runner.ErrBatch):
		return noOutcomeFailure(id)
	case errors.Is(err, runner.ErrSame):
		a.ui.note("key %s is not marked, because it has already succeeded", quote(o.key))
		return a.reportMark(ctx, l, id, o, false)
	case errors.Is(err, runner.ErrDone):
		return usage("key %s is not marked, because it has succeeded", quote(o.key)).
			detail("%s would run it again or hide its outcome", name).hintFlags("to mark it anyway", "--force")
	case err != nil:
		return err
	}
	a.ui.note("marked key %s%s %s", quote(o.key), inWindow(id), name)
	if was.Phase() == ledger.PhaseNone && a.ui.notes() {
		if hints := similarHints(ctx, l, id); len(hints) > 0 {
			a.ui.note("nothing was recorded under this key before the mark")
			a.ui.hints(hints)
		}
	}
	return a.reportMark(ctx, l, id, o, true)
}

// markView is the JSON object of idem mark.
type markView struct {
	Changed bool `json:"changed"` // false: it was so before
	keyView
}

// reportMark prints the record of a key that is settled, if the flags say so.
func (a *app) reportMark(ctx context.Context, l ledger.Ledger, id ledger.ID, o *markOptions, changed bool) error {
	if !o.json {
		return nil
	}
	rec, err := l.Get(ctx, id)
	if err != nil {
		return err
	}
	return a.printJSON(markView{changed, viewKey(rec)})
}

// settlement returns the settlement of a key as the flags say, without the fields that are
// about one key.
func (o *markOptions) settlement(name string, keep retention) runner.Settlement {
	h := runner.Settlement{
		State: marks()[name], ExitCode: o.exitCode, Owner: owner(),
		Note: string(keep.redactor.Bytes([]byte(o.note))), Force: o.force, MaxOutput: o.maxOutput.bytes,
	}
	if h.State == ledger.Failed {
		h.ExitCode = cmp.Or(h.ExitCode, 1)
	}
	return h
}

// recordOf returns the record of a key that the flags select. The key of a new record
// must be one that idem run accepts, unless it is that of a step or an item.
func (a *app) recordOf(ctx context.Context, l ledger.Store, id ledger.ID, want runner.Which, o *markOptions) (ledger.ID, ledger.Origin, error) {
	rec, err := a.find(ctx, l, id, want, o.record)
	if err != nil || rec.Phase() != ledger.PhaseNone {
		return rec.ID, ledger.Origin{}, err
	}
	parent, err := parentOf(ctx, l, rec.ID)
	if err == nil && parent == (ledger.ID{}) {
		_, err = a.id(id.Key, o.allowEmptyParts)
	}
	return rec.ID, ledger.Origin{Parent: parent}, err
}

// parentOf returns the batch or the run with steps that a key is below, zero if there is
// none.
func parentOf(ctx context.Context, l ledger.Ledger, id ledger.ID) (ledger.ID, error) {
	for parent := id; ; {
		end := strings.LastIndexByte(parent.Key, '/')
		if end < 1 {
			return ledger.ID{}, nil
		}
		parent.Key = parent.Key[:end]
		rec, err := l.Get(ctx, parent)
		if err != nil {
			return ledger.ID{}, err
		}
		if rec.Current.State == ledger.Batch {
			return parent, nil
		}
		if tallies, err := talliesOf(ctx, l, parent); err != nil || len(tallies[parent]) > 0 {
			return parent, err
		}
	}
}
