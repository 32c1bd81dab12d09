package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/runner"
)

// exitWouldRun is what check exits with when idem run would start the command.
const exitWouldRun = 1

const checkLong = `Report by the exit status what idem run would do, and change nothing.

Write the call as for idem run, or give its key only. The first argument after
the flags is the key, unless --key or a "--" comes before it. Without a command,
idem takes the recorded inputs for those of the call.

The answer can be outdated at once. Do not build "check, then run" from it: idem
run does both in one step.` + askLong

func (a *app) checkCommand() *cobra.Command {
	var o *runOptions
	var record *whichFlags
	c := &cobra.Command{
		Use:     "check [run flags] KEY [-- COMMAND [ARG...]]",
		Short:   "Report by the exit status what idem run would do",
		Long:    checkLong,
		Example: "  idem check deploy:prod:8471 && echo 'nothing would run'\n  idem check --key deploy:prod:8471 -- ./deploy.sh prod",
		RunE: func(c *cobra.Command, args []string) error {
			argv, err := a.checked(o, args, c.ArgsLenAtDash() == 0)
			if err != nil {
				return err
			}
			q, err := a.ask(c.Context(), o, record, argv)
			if err = errors.Join(err, q.failed); err != nil {
				return err
			}
			switch q.Action {
			case runner.ActionExecute, runner.ActionProbe:
				return &ending{code: exitWouldRun}
			case runner.ActionReplay:
				if f := undelivered(q.Result, q.call); f != nil {
					return f.unhinted()
				}
			default:
				return q.refusal()
			}
			return nil
		},
	}
	o = a.askFlags(c, "keys", "windows", "inputs", "outcomes", "probes", "replays", "secrets")
	record = newWhichFlags(c, &o.calendarFlags, false)
	return c
}

// checked takes the key from what stands behind the flags of idem check, if it
// is there, and returns the command. dashed tells that a "--" ended the flags.
func (a *app) checked(o *runOptions, args []string, dashed bool) ([]string, error) {
	const form = "idem check [flags] KEY [-- COMMAND [ARG...]]"
	argv, err := a.behindWait(&o.wait, args, true)
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
	if len(args) > 1 && args[1] != "--" { // mostly a flag that came too late
		return nil, usage("idem check: unexpected argument %s after the key", quoteWord(args[1])).
			detail("flags come before the key, and the command after a --").hintForm(form)
	}
	return args[min(2, len(args)):], nil
}

// asked returns which record a question is about. Without a window it is the
// one that idem run would take, whatever other windows there are; that these are
// not meant is said.
func (a *app) asked(ctx context.Context, l ledger.Store, id ledger.ID, want runner.Which) (ledger.ID, error) {
	found, err := runner.Find(ctx, l, id.Namespace, id.Key, want)
	var ambiguous *runner.AmbiguousError
	if !errors.As(err, &ambiguous) {
		return found.ID, err
	}
	a.ui.warn("key %s has records only in windows; the answer is for a call without a window", quote(id.Key))
	a.ui.warnDetail("windows: %s", windowList(ambiguous))
	for _, way := range windowWays(ambiguous.Records[0].ID) {
		a.ui.hint(flagAdvice(way.what, way.text()))
	}
	return id, nil
}

// question is what check and explain ask.
type question struct {
	call runner.Call
	runner.Result
	failed error // why a replay would fail
}

func (q question) refusal() *failure { return refusal(q.Result, q.call).unhinted() }

// status is what idem run would exit with; nil when it would start something.
func (q question) status() *int {
	switch {
	case q.failed != nil:
		return &failureOf(q.failed).code
	case q.Action == runner.ActionRefuse:
		return &q.refusal().code
	case q.Action != runner.ActionReplay:
		return nil
	}
	if f := undelivered(q.Result, q.call); f != nil {
		return &f.code
	}
	return ptr(exitStatus(q.Record.Current))
}

// ask asks what idem run would do. Without a command, the recorded inputs are
// taken for those of the call.
func (a *app) ask(ctx context.Context, o *runOptions, record *whichFlags, argv []string) (question, error) {
	keep, err := a.remember(&o.storing, o.key)
	if err != nil {
		return question{}, err
	}
	if err := o.fits(); err != nil {
		return question{}, err
	}
	policy, err := o.policy(o.ttl.limit)
	if err != nil {
		return question{}, err
	}
	now := a.now()
	want, err := record.which(now)
	if err != nil {
		return question{}, err
	}
	l, err := a.openLedger()
	if err != nil {
		return question{}, err
	}
	in, err := a.identify(ctx, o, argv, &looking{Store: l}, now)
	if err != nil {
		return question{}, err
	}
	if in.id, err = a.asked(ctx, l, in.id, want); err != nil {
		return question{}, err
	}
	q := question{call: runner.Call{
		ID: in.id, Policy: policy, Inside: insideOf(in.id, l.Place()),
		Output: runner.Output{Quiet: o.quietOK}, Replay: o.replayPolicy(),
	}}
	if len(argv) > 0 {
		q.call.Argv, q.call.TTY = argv, o.tty
		if !o.noStdin {
			q.call.Stdin = in.stdin
		}
		q.call.Inputs = runner.Inputs{Fingerprint: in.inputs.Fingerprint(), Encoded: keep.inputs(in.inputs).Encode()}
	}
	r := runner.Runner{Ledger: l, Now: a.now, Replayed: o.replayed(&a.ui)}
	q.Result, err = r.Ask(ctx, q.call)
	if err == nil && q.Action == runner.ActionReplay {
		q.Lacks, q.failed = r.Rehearse(ctx, q.call, q.Record)
	}
	q.Record.Current.Inputs = keep.recorded(q.Record.Current.Inputs)
	return q, err
}
