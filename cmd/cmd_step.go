package cmd

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/ledger"
	"idem/runner"
)

// stepOptions are the flags of idem step that idem run does not have.
type stepOptions struct {
	parentFlags
	name         string
	everyAttempt bool
	drain        bool
}

func (o *stepOptions) addTo(f *pflag.FlagSet) {
	o.parentFlags.addTo(f)
	f.BoolVar(&o.everyAttempt, "every-attempt", false, "run the step in each attempt of the run, once in each; with another IDEM_TOKEN each time; for a login or a final check")
	f.BoolVar(&o.drain, "drain", false, "on a replay, read stdin to its end, so a pipeline into the step does not break")
}

const stepLong = `Run a command as a step of the run around it, once per run.

A step that succeeded never runs again in its run: idem replays its output and
its exit status. So a script whose commands are steps can be started again after
a failure, a kill or a power cut, and goes on at the first step that is not
done. A step is found by its NAME alone, so steps can be inserted, moved and
deleted between two attempts of the script.

The script itself must be the command of idem run. These two lines at its
beginning see to it:

me="deploy:$1"
[ "${IDEM_KEY-}" = "$me" ] || exec idem run --key "$me" --resumable -- "$0" "$@"

The key of the step is that of the run, a slash and NAME; namespace, window and
ledger are those of the run. idem show, logs, mark and forget take that key, and
idem show of the run shows its steps. A new operation has new steps: another key
or window, idem forget, idem run --force, or a run after --ttl.

  - NAME is the first argument, and "--" comes before the command.
  - A step with other arguments than before is refused (65). In a loop, give
    each turn another name: idem step "load-$file" -- ./load.sh "$file"
  - A step that was interrupted is refused (79) until you say what happened, or
    at once runs again with --on-interrupted rerun, or is settled by a --probe.
  - X=$(idem step NAME -- CMD) gets the same bytes in each attempt. If the
    record does not have them exactly, the step is refused (69), not replayed.
  - A replayed step does not read stdin. Put a whole pipeline into one step,
    with sh -c, or use --drain.
  - Steps may run at the same time, and a step may have steps. IDEM_TOKEN
    differs in each step, and is the same in each attempt.`

const stepExample = `  idem step build --timeout 20m -- make release
  image=$(idem step push -- ./push.sh)
  idem step migrate --on-failure refuse -- ./migrate.sh "$image"
  idem step announce --retries 3 -- ./announce.sh "deployed $image"`

const stepForm = "idem step NAME [run flags] -- COMMAND [ARG...]"

// notOfStep are the flags of idem run that a step does not have, because it takes their
// values from its run or because they would break its value.
var notOfStep = []struct{ flag, why string }{
	{"key", "the key of a step is that of its run, a slash and its name"},
	{"allow-empty-parts", "the name of a step has no empty part"},
	{"per", "a step is in the window of its run"},
	{"tz", "a step is in the window of its run"},
	{"at", "a step is in the window of its run"},
	{"day-start", "a step is in the window of its run"},
	{"partial", "a script may use the output as a value, so it is exact or refused"},
}

func (a *app) stepCommand() *cobra.Command {
	o := newRunOptions()
	o.step, o.value = &stepOptions{}, true
	c := &cobra.Command{
		Use:         "step NAME [run flags] -- COMMAND [ARG...]",
		Short:       "Run a command as a step of the run around it",
		Long:        stepLong,
		Example:     stepExample,
		Annotations: map[string]string{asksAnnotation: "Flags of idem run (see idem help TOPIC)"},
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.checkStepForm(o, args, c.ArgsLenAtDash() == 0); err != nil {
				return err
			}
			return a.run(c.Context(), o, args)
		},
	}
	o.step.addTo(c.Flags())
	a.callFlags(c.Flags(), o)
	o.jsonFlag(c.Flags())
	for _, not := range notOfStep {
		c.Flags().Lookup(not.flag).Hidden = true
	}
	if disabled() {
		c.DisableFlagParsing = true
		c.RunE = a.runDisabled
	}
	return c
}

// words returns the arguments that cobra parses: those without the NAME of a step or a batch,
// which it sets in a. The flags come after the NAME. Without a NAME as the first argument
// after idem step or idem each, these are all arguments.
func (a *app) words() []string {
	args, at := a.args, commandIndex(a.args)
	if at+1 >= len(args) || args[at] != "step" && args[at] != "each" || strings.HasPrefix(args[at+1], "-") {
		return args
	}
	a.name = args[at+1]
	return slices.Delete(slices.Clone(args), at+1, at+2)
}

// checkStepForm refuses a step without a NAME, or without "--" before the command. args
// are the arguments after the flags. dashed reports whether "--" is before them.
func (a *app) checkStepForm(o *runOptions, args []string, dashed bool) error {
	o.step.name, o.key = a.name, a.name
	afterWait := len(args) > 1 && args[1] == "--" // see afterWait
	switch {
	case o.key == "" && slices.Contains(a.args, ""):
		return usage("the name of the step is empty: a variable may be unset").hintForm(stepForm)
	case o.key == "" && !dashed && len(args) > 0:
		command := args[1:]
		if i := slices.Index(command, "--"); i >= 0 { // flags come before it, too
			command = command[i+1:]
		}
		return usage("the name of a step comes before its flags").hintStep(a, args[0], command)
	case o.key == "":
		return usage("idem step requires a name").hintForm(stepForm)
	case len(args) == 0:
		return usage("idem step requires a command").hintForm(stepForm)
	case !dashed && !afterWait:
		return usage(`idem step requires "--" before the command`).hintStep(a, o.key, args)
	}
	for _, not := range notOfStep {
		if o.given(not.flag) {
			return usage("idem step takes no --%s", not.flag).detail("%s", not.why)
		}
	}
	if o.in() == "" && o.given("namespace") {
		return usage("idem step takes no --namespace").detail("a step is in the namespace of its run")
	}
	return nil
}

// hintStep adds the corrected line of a step whose words are in the wrong order. A line
// that may have a secret is not shown, nor one where a flag may have the name as its value.
func (f *failure) hintStep(a *app, name string, command []string) *failure {
	at := commandIndex(a.args)
	flags := slices.DeleteFunc(slices.Clone(a.args[at+1:max(at+1, len(a.args)-len(command))]), func(word string) bool { return word == "--" })
	hidden := slices.ContainsFunc(flags, func(word string) bool {
		return strings.HasPrefix(word, "--redact") || strings.HasPrefix(word, "--no-store")
	})
	before := len(flags)
	flags = slices.DeleteFunc(flags, func(word string) bool { return word == name })
	if hidden || len(command) == 0 || before-len(flags) != 1 {
		return f.hintForm(stepForm)
	}
	words := slices.Concat([]string{"idem"}, a.args[:at], []string{"step", name}, flags, []string{"--"})
	return f.hint("write: %s %s", shellLine(words), commandLine(command))
}

// stepValueError is a *runner.InexactError about a step.
type stepValueError struct {
	error
	id ledger.ID
}

func (e *stepValueError) Unwrap() error { return e.error }

// ofStep returns the error of a call, with the ID of the step if its value is not exact.
func ofStep(err error, call runner.Call) error {
	if call.Replay.Value && errors.As(err, new(*runner.InexactError)) {
		return &stepValueError{err, call.ID}
	}
	return err
}

// in returns the value of --in, "" for a call of idem run.
func (o *runOptions) in() string {
	if o.step == nil {
		return ""
	}
	return o.step.in
}

// title returns the words that name the step in messages.
func (o *stepOptions) title() string { return "step " + quote(o.name) }

// identifyStep is identify for a step that is recorded at a home.
func (a *app) identifyStep(ctx context.Context, o *runOptions, argv []string, h home) (callIdentity, error) {
	var in callIdentity
	var err error
	if h.unprotected {
		in.origin, err = a.namedParent(&o.step.parentFlags, o.step.title())
	} else {
		in.origin, err = a.parentOf(ctx, h.ledger, &o.step.parentFlags, o.step.title())
	}
	if err != nil {
		return in, err
	}
	if in.id, err = below(in.origin.Parent, o.step.name); err != nil {
		return in, err
	}
	in.inputs, in.stdin, err = o.inputs.collect(ctx, argv, h)
	return in, err
}

// givenStep returns the ID of a step as far as the call and the environment name it.
func (a *app) givenStep(o *stepOptions) ledger.ID {
	origin, err := a.namedParent(&o.parentFlags, o.title())
	if err != nil {
		return ledger.ID{Namespace: a.namespace, Key: o.name}
	}
	id, _ := below(origin.Parent, o.name)
	return id
}

// warnRepeated warns of a step that the same attempt of the run has executed already: in
// a loop, its turns would share one effect.
func (a *app) warnRepeated(res runner.Result, call runner.Call) {
	cur := res.Record.Current
	if res.Action != runner.ActionReplay || res.Reason == runner.ReasonProbed || call.Origin.RunID == "" || cur.ParentRun != call.Origin.RunID || call.Policy.EveryAttempt {
		return
	}
	a.ui.warn("step %s ran already in this attempt of its run, and was replayed", quote(call.ID.Key))
	a.ui.warnDetail("if it is meant to run twice, as in a loop, each turn needs a name of its own")
}
