package cmd

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"idem/hashkey"
	"idem/ledger"
	"idem/runner"
)

// exitWouldRun is what check exits with when idem run would start the command.
const exitWouldRun = 1

const checkLong = `Tell by the exit status what idem run would do, and change nothing.

  0               it is done: the call would be replayed
  1               the command would be started
  65, 75, 79, 80  as idem run

Without a command, the inputs are taken to be those that are recorded. An
answer is outdated as soon as it is given: do not build "check, then run" from
it, since idem run does both in one step.`

func (a *app) checkCommand() *cobra.Command {
	id, policy := newIdentity(), newPolicyFlags()
	c := &cobra.Command{
		Use:     "check [flags] KEY [-- COMMAND [ARG...]]",
		Short:   "Tell by the exit status whether a key is done",
		Long:    checkLong,
		Example: "  idem check deploy:prod:4f2c1e && echo done",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "" || id.key != "" {
				return usage("idem check wants one key as its argument").hint("idem check [flags] KEY [-- COMMAND [ARG...]]")
			}
			id.key = args[0]
			argv := args[1:]
			if len(argv) > 0 && argv[0] != "--" { // mostly a flag that came too late
				return usage("idem check wants flags before the key and the command behind a --, not %s", quote(argv[0])).
					hint("idem check [flags] KEY [-- COMMAND [ARG...]]")
			}
			if len(argv) > 0 {
				argv = argv[1:]
			}
			q, err := a.ask(c.Context(), id, policy, argv)
			if err != nil {
				return err
			}
			switch q.decision.Action {
			case runner.Execute:
				a.exit = exitWouldRun
			case runner.Replay:
				a.exit = exitOK
			default:
				return q.refusal()
			}
			return nil
		},
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.SortFlags = false
	id.flags(f)
	_ = f.MarkHidden("key")
	policy.flags(f)
	return c
}

// question is what check and explain ask.
type question struct {
	call     runner.Call
	decision runner.Decision
	record   ledger.Record
}

func (q question) refusal() *failure {
	return refusal(runner.Result{Decision: q.decision, Record: q.record}, q.call).unhinted()
}

// ask asks what idem run would do. Without a command, the recorded inputs are
// taken for those of the call.
func (a *app) ask(ctx context.Context, o *identity, p *policyFlags, argv []string) (question, error) {
	policy, err := p.policy(o)
	if err != nil {
		return question{}, err
	}
	l, err := openLedger(a.ledger)
	if err != nil {
		return question{}, err
	}
	in, err := a.identify(ctx, o, argv, looking{l}, time.Now())
	if err != nil {
		return question{}, err
	}
	q := question{call: runner.Call{ID: in.id, Policy: policy, Now: time.Now}}
	if len(argv) > 0 {
		q.call.Inputs, q.call.Fingerprint = in.inputs.Encode(), in.inputs.Fingerprint()
	}
	q.decision, q.record, err = runner.Ask(ctx, l, q.call)
	return q, err
}

const explainLong = `Say what idem run would do for a call, and why, and change nothing: the
decision, the record that it is made on, and each input, same or changed.`

// explainView is what explain --json prints.
type explainView struct {
	Action string `json:"action"`
	Why    string `json:"reason"`
	keyView
	Inputs []inputState `json:"inputs"`
}

type inputState struct {
	Name   string `json:"name"`
	State  string `json:"state"` // same, changed
	Change string `json:"change,omitempty"`
}

func (a *app) explainCommand() *cobra.Command {
	id, policy := newIdentity(), newPolicyFlags()
	var asJSON bool
	c := &cobra.Command{
		Use:     "explain [run flags] [--] COMMAND [ARG...]",
		Short:   "Say what idem run would do, and why",
		Long:    explainLong,
		Example: "  idem explain --key deploy:prod:4f2c1e -- ./deploy.sh prod",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("no command to explain").hint("idem explain --key KEY -- COMMAND [ARG...]")
			}
			q, err := a.ask(c.Context(), id, policy, args)
			if err != nil {
				return err
			}
			return a.explain(q, asJSON)
		},
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.SortFlags = false
	id.flags(f)
	policy.flags(f)
	f.BoolVar(&asJSON, "json", false, "a JSON object")
	return c
}

func (a *app) explain(q question, asJSON bool) error {
	inputs, err := inputStates(q)
	if err != nil {
		return err
	}
	if asJSON {
		q.record.ID = q.call.ID
		return a.printJSON(explainView{string(q.decision.Action), string(q.decision.Reason), viewKey(q.record), inputs})
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "would:\t%s (%s)\n", q.decision.Action, q.decision.Reason)
	fmt.Fprintf(w, "key:\t%s%s\n", escape(q.call.ID.Key), inWindow(q.call.ID))
	fmt.Fprintf(w, "record:\t%s\n", q.record.Phase())
	if cur := q.record.Current; q.record.Phase() != ledger.PhaseNone {
		fmt.Fprintf(w, "attempt:\t%d %s, started %s %s\n", q.record.Attempts, ending(cur), when(cur.Started), by(cur.Owner))
	}
	for _, in := range inputs {
		fmt.Fprintf(w, "%s:\t%s\n", in.State, cmp.Or(in.Change, escape(in.Name)))
	}
	_ = w.Flush() // into memory
	return a.print(b.String())
}

// inputStates compares the inputs of the call with the recorded ones.
func inputStates(q question) ([]inputState, error) {
	states := []inputState{}
	is, err := hashkey.Decode(q.call.Inputs)
	if err != nil || q.record.Phase() == ledger.PhaseNone {
		return states, err
	}
	was, err := hashkey.Decode(q.record.Current.Inputs)
	if err != nil {
		return nil, err
	}
	changed := map[string]bool{}
	for _, c := range hashkey.Diff(was, is) {
		changed[c.Name] = true
		states = append(states, inputState{Name: c.Name, State: "changed", Change: changeText(c)})
	}
	for _, c := range hashkey.Diff(nil, is) { // all of them, by name
		if !changed[c.Name] {
			states = append(states, inputState{Name: c.Name, State: "same"})
		}
	}
	return states, nil
}
