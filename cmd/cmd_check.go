package cmd

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/runner"
)

// exitWouldRun is the exit status of idem check when idem run would start the command.
const exitWouldRun = 1

const checkLong = `Report by the exit status what idem run would do, and change nothing.

Write the call as for idem run, or give its key only. The first argument after
the flags is the key, unless --key or a "--" comes before it. Without a command,
idem takes the recorded inputs for those of the call.

The answer can be outdated at once. Do not build "check, then run" from it: idem
run does both in one step.` + askLong

func (a *app) checkCommand() *cobra.Command {
	var o *runOptions
	var record *recordFlags
	var asJSON bool
	c := &cobra.Command{
		Use:     "check [run flags] KEY [-- COMMAND [ARG...]]",
		Short:   "Report by the exit status what idem run would do",
		Long:    checkLong,
		Example: "  idem check deploy:prod:8471 && echo 'nothing would run'\n  idem check --key deploy:prod:8471 -- ./deploy.sh prod",
		RunE: func(c *cobra.Command, args []string) error {
			argv, err := a.checkArgs(o, args, c.ArgsLenAtDash() == 0)
			if err != nil {
				return err
			}
			q, err := a.ask(c.Context(), o, record, argv)
			if err == nil && asJSON {
				err = a.explain(q, true)
			}
			if err = errors.Join(err, q.failed); err != nil {
				return err
			}
			switch q.Action {
			case runner.ActionExecute, runner.ActionProbe, runner.ActionVerify:
				return &ending{code: exitWouldRun}
			case runner.ActionSettle: // and replay the output of the probe
			case runner.ActionReplay:
				if f := undeliveredFailure(q.Result, q.call); f != nil {
					return f.withoutHints()
				}
			default:
				return q.refusal()
			}
			return nil
		},
	}
	o = a.askFlags(c, "keys", "windows", "inputs", "outcomes", "probes", "verifying", "replays", "secrets")
	o.questionsFlag(c)
	record = newRecordFlags(c, &o.calendarFlags, false)
	c.Flags().BoolVar(&asJSON, "json", false, "print the JSON object of idem explain")
	return c
}

// checkArgs parses the arguments of idem check. It sets o.key if the first argument is
// the key, and returns the command. dashed reports whether a "--" ended the flags.
func (a *app) checkArgs(o *runOptions, args []string, dashed bool) ([]string, error) {
	const form = "idem check [flags] KEY [-- COMMAND [ARG...]]"
	argv, err := a.afterWait(&o.wait, args, true)
	if err != nil {
		return nil, err
	}
	if o.key != "" || dashed || len(argv) < len(args) {
		if o.key == "" && len(argv) == 0 {
			return nil, usage("idem check requires a key or a command").hintForm(form)
		}
		return argv, nil
	}
	if len(args) == 0 || args[0] == "" {
		return nil, usage("idem check requires a key").hintForm(form)
	}
	o.key = args[0]
	if len(args) > 1 && args[1] != "--" { // usually a flag after the key
		return nil, usage("idem check: unexpected argument %s after the key", quoteWord(args[1])).
			detail("flags come before the key, and the command after a --").hintForm(form)
	}
	return args[min(2, len(args)):], nil
}

// recordAsked returns the ID of the record that a question is about. Without a window,
// it is the record that idem run would use. If the key has records only in windows,
// recordAsked prints a warning.
func (a *app) recordAsked(ctx context.Context, l ledger.Store, id ledger.ID, want runner.Which) (ledger.ID, error) {
	found, err := runner.Find(ctx, l, id.Namespace, id.Key, want)
	var ambiguous *runner.AmbiguousError
	if !errors.As(err, &ambiguous) {
		return found.ID, err
	}
	a.ui.warn("key %s has records only in windows; the answer is for a call without a window", quote(id.Key))
	a.ui.warnDetail("windows: %s", windowList(ambiguous))
	for _, option := range windowOptions(ambiguous.Records[0].ID) {
		a.ui.hint(flagAdvice(option.what, option.text()))
	}
	return id, nil
}

// isBelow reports whether a key is recorded as that of a step or an item. Such a key may be
// one that idem run refuses.
func (a *app) isBelow(ctx context.Context, l ledger.Ledger, key string, want runner.Which) (bool, error) {
	id, err := a.recordedID(key)
	if err != nil || !strings.Contains(key, "/") {
		return false, nil
	}
	want.Guess = true
	found, err := runner.Find(ctx, l, id.Namespace, key, want)
	return found.Parent != (ledger.ID{}), err
}

// question is the call that check or explain asks about, and the answer.
type question struct {
	flags *runOptions
	call  runner.Call
	runner.Result
	failed error // why a replay would fail
}

func (q question) refusal() *failure { return refusal(q.Result, q.call).withoutHints() }

// status returns the exit status that idem run would have, nil if it would start
// the command, the probe or the verification.
func (q question) status() *int {
	if q.failed == nil && q.Action == runner.ActionSettle {
		return ptr(max(exitOK, q.flags.exitCodes.remap(successReplayed))) // it then replays
	}
	if q.failed == nil && q.Action != runner.ActionRefuse && q.Action != runner.ActionReplay {
		return nil
	}
	return ptr(q.flags.statusOf(q.Result, q.call, q.failed))
}

// ask returns what idem run would do. Without a command, the call is taken to have
// the recorded inputs.
func (a *app) ask(ctx context.Context, o *runOptions, record *recordFlags, argv []string) (question, error) {
	keep, err := a.retention(&o.storeFlags, o.key, o.mutexTexts...)
	if err != nil {
		return question{}, err
	}
	if err := o.checkPairs(); err != nil {
		return question{}, err
	}
	policy, err := o.policy(o.ttl.limit, o.wait.fresh)
	if err != nil {
		return question{}, err
	}
	now := a.now()
	want, err := record.selector(now)
	if err != nil {
		return question{}, err
	}
	l, err := a.openLedgerFor(o)
	if err != nil {
		return question{}, err
	}
	if o.recorded, err = a.isBelow(ctx, l, o.key, want); err != nil {
		return question{}, err
	}
	in, err := a.identify(ctx, o, argv, &peekSource{Store: l}, now)
	if err != nil {
		return question{}, err
	}
	if in.id, err = a.recordAsked(ctx, l, in.id, want); err != nil {
		return question{}, err
	}
	h := a.ledgerHome(l)
	probe, verification := o.questions()
	q := question{flags: o, call: runner.Call{
		ID: in.id, Policy: policy, Probe: probe, Verification: verification, Limits: runner.Limits{KillAfter: o.killAfter.Duration}, Inside: insideOf(in.id, l.Place()),
		Mutexes: o.mutexes, Wait: runner.Wait{Set: o.wait.set},
		Output: runner.Output{Quiet: o.quietOK}, Replay: o.replayPolicy(),
	}}
	if len(argv) > 0 {
		q.call.Argv, q.call.TTY = argv, o.tty
		if !o.noStdin {
			q.call.Stdin = in.stdin
		}
		q.call.Inputs = runner.Inputs{Fingerprint: in.inputs.Fingerprint(), Encoded: keep.inputs(in.inputs).Encode()}
	}
	r := runner.Runner{Ledger: l, Now: a.now, Environ: h.environ, Live: runner.Streams{Stderr: a.ui.stderr}, Replayed: o.replayed(a.ui.streams())}
	q.Result, err = r.Ask(ctx, q.call, o.ask)
	if err == nil && q.Action == runner.ActionReplay {
		q.Lacks, q.failed = r.Rehearse(ctx, q.call, q.Record)
	}
	q.Record.Current.Inputs = keep.recordedInputs(q.Record.Current.Inputs)
	return q, err
}
