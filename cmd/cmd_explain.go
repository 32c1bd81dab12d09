package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"idem/hashkey"
	"idem/ledger"
	"idem/runner"
)

const explainLong = `Print what idem run would do for a call, and why, and change nothing. The output
has the decision, the record it is based on, and each input: same or changed. It
also lists a changed script, and stdin with data, if they are not inputs. idem
does not run a probe or a verification; it only says that it would come next.
With --ask, it runs them and prints what would follow.` + askLong

// explainView is the JSON object of explain --json and check --json.
type explainView struct {
	Action string `json:"action"`
	Why    string `json:"reason"`
	keyView
	Status *int         `json:"exit_status"` // of idem run; null if it would start the command, the probe or the verification
	Lacks  []string     `json:"output_lacks"`
	Inputs []inputState `json:"inputs"`
}

type inputState struct {
	Name string `json:"name"`
	// State is same or changed. It is hidden if the stored value does not show which,
	// and uncounted for a change that is not an input.
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
	var record *recordFlags
	var asJSON bool
	c := &cobra.Command{
		Use:     "explain [run flags] [--] COMMAND [ARG...]",
		Short:   "Print what idem run would do, and why",
		Long:    explainLong,
		Example: "  idem explain --key deploy:prod:8471 -- ./deploy.sh prod",
		RunE: func(c *cobra.Command, args []string) error {
			args, err := a.afterWait(&o.wait, args, false)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return usage("idem explain requires a command").hintForm("idem explain --key KEY -- COMMAND [ARG...]")
			}
			q, err := a.ask(c.Context(), o, record, args)
			if err != nil {
				return err
			}
			return a.explain(q, asJSON)
		},
	}
	o = a.askFlags(c, "keys", "windows", "inputs", "outcomes", "probes", "verifying", "replays", "secrets")
	o.questionsFlag(c)
	record = newRecordFlags(c, &o.calendarFlags, false)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

func (a *app) explain(q question, asJSON bool) error {
	inputs, err := inputStates(q)
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(q.view(inputs))
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "would:\t%s (%s)\n", q.Action, q.Reason)
	fmt.Fprintf(w, "key:\t%s%s\n", escape(q.call.ID.Key), inWindow(q.call.ID))
	fmt.Fprintf(w, "record:\t%s%s\n", q.Record.Phase(), map[bool]string{true: ", for any inputs"}[unbound(q.Record)])
	if cur := q.Record.Current; q.Record.Phase() != ledger.PhaseNone {
		line := fmt.Sprintf("attempt:\t%d %s, started", cur.Number, outcomeText(cur))
		if cur.Number == 0 {
			line = fmt.Sprintf("settled:\t%s", outcomeText(cur))
		}
		fmt.Fprintf(w, "%s %s %s\n", line, timeText(cur.Started), ownerText(cur.Owner))
	}
	if q.Mutex != nil {
		fmt.Fprintf(w, "mutex:\t%s\n", mutexHeldText(q.Mutex))
	}
	var faults []string
	for _, text := range lacksTexts(q.Record.Current, q.Lacks) {
		faults = append(faults, text[0]+": "+text[1])
	}
	if q.failed != nil {
		faults = append(faults, oneLine(failureOf(q.failed).text()))
	}
	if is := q.call.Inputs.Fingerprint; len(inputs) > 0 && is != q.Record.Current.Fingerprint {
		fmt.Fprintf(w, "fingerprint:\twas %s, now %s\n", shortPrint(q.Record.Current.Fingerprint), shortPrint(is))
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

// view returns the JSON object of a question.
func (q question) view(inputs []inputState) explainView {
	q.Record.ID = q.call.ID
	return explainView{string(q.Action), string(q.Reason), viewKey(q.Record), q.status(), q.lacking(), inputs}
}

// lacking returns the names of the parts that a replay would lack, for scripts.
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

// unbound reports whether a key was settled by hand for calls with any inputs.
func unbound(rec ledger.Record) bool {
	return rec.Phase() != ledger.PhaseNone && rec.Current.Fingerprint == ""
}

// inputStates compares the inputs of the call with the recorded ones.
func inputStates(q question) ([]inputState, error) {
	states := []inputState{}
	if len(q.call.Inputs.Encoded) == 0 { // check with a key alone
		return states, nil
	}
	is, err := hashkey.Decode(q.call.Inputs.Encoded)
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
		c.Files = nil // each file is on a separate line
		st.Change = changeText(c, "")
		states = append(states, st)
	}
	for _, c := range hashkey.Diff(nil, is) { // all inputs, sorted by name
		if !changed[c.Name] {
			states = append(states, inputState{Name: c.Name, State: "same"})
		}
	}
	return append(states, uncountedStates(q)...), nil
}
