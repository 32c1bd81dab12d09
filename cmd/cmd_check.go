package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/sqlite"
	"idem/runner"
)

// exitWouldRun is what check exits with when idem run would start the command.
const exitWouldRun = 1

const checkLong = `Tell by the exit status what idem run would do, and change nothing.

  0               it would be replayed: it is done, or it failed and --on-failure
                  replay or --final says that it stays so
  1               the command would be started, or with --probe the probe asked
  69, 74          it would be replayed, but the recorded output is damaged or
                  gone, or a part of it is missing
  65, 75, 79, 80  as idem run

The call is written as for idem run, or by its key: what stands first behind the
flags is the key, unless --key or a "--" stands before it. Without a command, the
inputs are taken to be those that are recorded. An answer is outdated as soon as
it is given: do not build "check, then run" from it, since idem run does both in
one step.` + askLong

func (a *app) checkCommand() *cobra.Command {
	var o *runOptions
	var record *whichFlags
	c := &cobra.Command{
		Use:     "check [run flags] KEY [-- COMMAND [ARG...]]",
		Short:   "Tell by the exit status what idem run would do",
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
			case runner.Execute, runner.Probe:
				a.exit = exitWouldRun
			case runner.Replay:
				if f := undelivered(q.Result, q.call); f != nil {
					return f.unhinted()
				}
				a.exit = exitOK
			default:
				return q.refusal()
			}
			return nil
		},
	}
	o = a.askFlags(c, "Identity", "What must be the same", "Earlier outcomes", "Unknown outcomes", "Replays", "What is remembered")
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
		return nil, usage("idem check requires flags before the key and the command behind a --, not %s", quoteWord(args[1])).hintForm(form)
	}
	return args[min(2, len(args)):], nil
}

// asked returns which record a question is about. Without a window it is the
// one that idem run would take, whatever other windows there are; that these are
// not meant is said.
func (a *app) asked(ctx context.Context, l *sqlite.Ledger, id ledger.ID, want runner.Which) (ledger.ID, error) {
	found, err := runner.Find(ctx, l, id.Namespace, id.Key, want)
	var ambiguous *runner.AmbiguousError
	if !errors.As(err, &ambiguous) {
		return found.ID, err
	}
	a.ui.warn("key %s has records only in windows, such as %s; this is about a call without a window", quote(id.Key), windowList(ambiguous))
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
	case q.Action == runner.Refuse:
		return &q.refusal().code
	case q.Action != runner.Replay:
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
	if err := a.remember(&o.storing, o.key); err != nil {
		return question{}, err
	}
	if err := o.fits(); err != nil {
		return question{}, err
	}
	policy, err := o.policy(o.ttl.limit)
	if err != nil {
		return question{}, err
	}
	policy.Around = around()
	now := time.Now()
	want, err := record.which(now)
	if err != nil {
		return question{}, err
	}
	l, err := a.openLedger()
	if err != nil {
		return question{}, err
	}
	in, err := a.identify(ctx, o, argv, &looking{Ledger: l}, now)
	if err != nil {
		return question{}, err
	}
	if in.id, err = a.asked(ctx, l, in.id, want); err != nil {
		return question{}, err
	}
	q := question{call: runner.Call{
		ID: in.id, Policy: policy, Now: time.Now, QuietOK: o.quietOK, Asked: asked(policy.Around, in.id, l.Dir()),
	}}
	o.replayFlags.set(&q.call)
	if len(argv) > 0 {
		q.call.Argv, q.call.TTY = argv, o.tty
		if !o.noStdin {
			q.call.Stdin = in.stdin
		}
		q.call.Inputs, q.call.Fingerprint = a.keep.inputs(in.inputs).Encode(), in.inputs.Fingerprint()
	}
	q.Result, err = runner.Ask(ctx, l, q.call)
	if err == nil && q.Action == runner.Replay {
		q.Lacks, q.failed = runner.Rehearse(ctx, l, q.call, q.Record)
	}
	q.Record.Current.Inputs = a.keep.recorded(q.Record.Current.Inputs)
	return q, err
}

const explainLong = `Say what idem run would do for a call, and why, and change nothing: the
decision, the record that it is made on, and each input, same or changed; also
the script that ran and stdin, if they have changed and do not count. A probe is
not asked, only said to be what would come next.` + askLong

// explainView is what explain --json prints.
type explainView struct {
	Action string `json:"action"`
	Why    string `json:"reason"`
	keyView
	Status *int         `json:"exit_status"` // of idem run; null when it would start something
	Lacks  []string     `json:"output_lacks"`
	Inputs []inputState `json:"inputs"`
}

type inputState struct {
	Name string `json:"name"`
	// State is same or changed; hidden when it cannot be told; uncounted of what
	// has changed and is no input.
	State  string       `json:"state"`
	Change string       `json:"change,omitempty"`
	Files  []fileChange `json:"files,omitempty"` // of a directory
}

// fileChange is a file of a directory that differs.
type fileChange struct {
	Name  jsonBytes `json:"name"`
	State string    `json:"state"` // changed, new or gone
}

func (a *app) explainCommand() *cobra.Command {
	var o *runOptions
	var record *whichFlags
	var asJSON bool
	c := &cobra.Command{
		Use:     "explain [run flags] [--] COMMAND [ARG...]",
		Short:   "Say what idem run would do, and why",
		Long:    explainLong,
		Example: "  idem explain --key deploy:prod:8471 -- ./deploy.sh prod",
		RunE: func(c *cobra.Command, args []string) error {
			args, err := a.behindWait(&o.wait, args, false)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return usage("no command to explain").hintForm("idem explain --key KEY -- COMMAND [ARG...]")
			}
			q, err := a.ask(c.Context(), o, record, args)
			if err != nil {
				return err
			}
			return a.explain(q, asJSON)
		},
	}
	o = a.askFlags(c, "Identity", "What must be the same", "Earlier outcomes", "Unknown outcomes", "Replays", "What is remembered")
	record = newWhichFlags(c, &o.calendarFlags, false)
	c.Flags().BoolVar(&asJSON, "json", false, "a JSON object")
	return c
}

func (a *app) explain(q question, asJSON bool) error {
	inputs, err := inputStates(q)
	if err != nil {
		return err
	}
	if asJSON {
		q.Record.ID = q.call.ID
		return a.printJSON(explainView{string(q.Action), string(q.Reason), viewKey(q.Record), q.status(), q.lacking(), inputs})
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "would:\t%s (%s)\n", q.Action, q.Reason)
	fmt.Fprintf(w, "key:\t%s%s\n", escape(q.call.ID.Key), inWindow(q.call.ID))
	fmt.Fprintf(w, "record:\t%s%s\n", q.Record.Phase(), map[bool]string{true: ", for any inputs"}[unbound(q.Record)])
	if cur := q.Record.Current; q.Record.Phase() != ledger.PhaseNone {
		how := fmt.Sprintf("attempt:\t%d %s, started", cur.Number, ending(cur))
		if cur.Number == 0 {
			how = fmt.Sprintf("settled:\t%s", ending(cur))
		}
		fmt.Fprintf(w, "%s %s %s\n", how, when(cur.Started), by(cur.Owner))
	}
	faults := lacksTexts(q.Record.Current, q.Lacks)
	if q.failed != nil {
		faults = append(faults, oneLine(failureOf(q.failed).Error()))
	}
	for _, text := range faults {
		fmt.Fprintf(w, "output:\t%s\n", text)
	}
	if status := q.status(); len(faults) > 0 && status != nil {
		fmt.Fprintf(w, "status:\t%d\n", *status)
	}
	for _, in := range inputs {
		fmt.Fprintf(w, "%s:\t%s\n", in.State, cmp.Or(in.Change, escape(in.Name)))
		for _, f := range in.Files {
			fmt.Fprintf(w, "%s:\t%s\n", in.State, f.text(in.Name))
		}
	}
	_ = w.Flush() // into memory
	return a.print(b.String())
}

// lacking names what a replay would lack, for scripts.
func (q question) lacking() []string {
	var inexact *runner.InexactError
	switch {
	case errors.As(q.failed, &inexact):
		return lacksNames(inexact.Lacks)
	case q.failed != nil:
		return []string{"unreadable"}
	}
	return lacksNames(q.Lacks)
}

// unbound tells that a key was settled by hand for any call.
func unbound(rec ledger.Record) bool {
	return rec.Phase() != ledger.PhaseNone && rec.Current.Fingerprint == ""
}

// inputStates compares the inputs of the call with the recorded ones.
func inputStates(q question) ([]inputState, error) {
	states := []inputState{}
	is, err := hashkey.Decode(q.call.Inputs)
	if err != nil || q.Record.Phase() == ledger.PhaseNone || unbound(q.Record) {
		return states, err
	}
	diff, err := differences(q.Record.Current, q.call)
	if err != nil {
		return nil, err
	}
	changed := map[string]bool{}
	for _, c := range diff {
		changed[c.Name] = true
		state := "changed"
		if !c.sure {
			state = "hidden"
		}
		st := inputState{Name: c.Name, State: state, Files: viewFileChanges(c.Files)}
		c.Files = nil // each has a line of its own
		st.Change = changeText(c)
		states = append(states, st)
	}
	for _, c := range hashkey.Diff(nil, is) { // all of them, by name
		if !changed[c.Name] {
			states = append(states, inputState{Name: c.Name, State: "same"})
		}
	}
	return append(states, uncounted(q)...), nil
}
