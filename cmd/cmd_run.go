package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

// runOptions are the flags of idem run.
type runOptions struct {
	keyFlags
	windowFlags
	inputs inputFlags
	*policyFlags
	ttyFlag
	stdinFlag
	storing
	outcomeFlags

	wait wait
	replayFlags
	quietOK   bool
	maxOutput size
	replayFiles
	metaFile  string
	metaFD    int
	flagSet   *pflag.FlagSet
	ui        *ui
	exitCodes exitCodes
	hooks     hooks

	onLedgerError choice
}

const runLong = `Run a command once per key.

The first call runs the command and records its exit status and its output.
After a success, every other call with the key and the same inputs replays both
and does not start the command. After a failure the command runs again. While it
runs, other calls are refused or wait. Flags of idem stand before the command;
"--" ends them.

Durations are written as 90s, 15m, 1h30m, 7d or 2w; a plain number counts seconds.`

const runExample = `  idem run --key "deploy:prod:$CI_PIPELINE_ID" -- ./deploy.sh prod
  idem run --key "webhook:$EVENT_ID" --wait=30s -- ./handle.sh "$EVENT_ID"
  7 2 * * *  idem run --key backup --per day --on-interrupted rerun --quiet-ok -- backup.sh`

func newRunOptions() *runOptions {
	return &runOptions{
		windowFlags:   newWindowFlags(),
		inputs:        newInputFlags(),
		policyFlags:   newPolicyFlags(),
		outcomeFlags:  newOutcomeFlags(),
		replayFlags:   newReplayFlags(),
		maxOutput:     defaultMaxOutput,
		metaFD:        noMetaFD,
		exitCodes:     exitCodes{},
		onLedgerError: choice{value: "refuse", of: []string{"refuse", "run"}},
	}
}

func (a *app) runCommand() *cobra.Command {
	o := newRunOptions()
	c := &cobra.Command{
		Use:     "run [--key KEY] [flags] [--] COMMAND [ARG...]",
		Short:   "Run a command once per key",
		Long:    runLong,
		Example: runExample,
		RunE:    func(c *cobra.Command, args []string) error { return a.run(c.Context(), o, args) },
	}
	a.callFlags(c.Flags(), o)
	if disabled() {
		c.DisableFlagParsing = true
		c.RunE = a.runDisabled
	}
	return c
}

// callFlags are all flags of idem run. The commands that ask about a call have
// them too: its command line becomes theirs with another first word.
func (a *app) callFlags(f *pflag.FlagSet, o *runOptions) {
	f.SetInterspersed(false) // what follows the command is the command's
	f.SortFlags = false
	o.flagSet, o.ui = f, &a.ui
	o.keyFlags.flags(f)
	o.windowFlags.flags(f)
	o.inputs.flags(f)
	f.Var(&o.wait, "wait", "while the key is running, wait, at most `DURATION` (else as long as it takes), then share its result: replay a success, run after a failure")
	f.Lookup("wait").NoOptDefVal = waitForever
	o.policyFlags.flags(f)
	o.storing.flags(f)
	o.outcomeFlags.flags(f)
	f.BoolVar(&o.quietOK, "quiet-ok", false, "print the command's output only if it fails (for cron, which mails what is printed)")
	o.ttyFlag.flags(f)
	o.stdinFlag.flags(f)
	o.replayFlags.flags(f)
	o.replayFiles.flags(f)
	f.Var(&o.maxOutput, "max-output", "how much output to record: `SIZE` such as 10MiB, 0, or unlimited; over it, the head and the last 1 MiB are kept (the live output is never cut)")
	f.StringVar(&o.metaFile, "meta-file", "", "write one JSON object about the call to `PATH`")
	f.IntVar(&o.metaFD, "meta-fd", noMetaFD, "write it to the open descriptor `N`")
	f.Lookup("meta-fd").DefValue = "0" // pflag shows no default that is zero
	f.Var(o.exitCodes, "exit-code", "use status N where idem has its own: `NAME=N` with running, mismatch, interrupted, failed, ledger or output; repeatable (running=0 for a quiet cron)")
	o.hooks.flags(f)
	f.Var(&o.onLedgerError, "on-ledger-error", "when the ledger cannot be used: `CHOICE` of refuse (status 69) or run: run the command without a record, a lock, a replay and IDEM_TOKEN, and say so; all other flags keep their meaning (not with --hash-stdin)")
	f.BoolVarP(&a.ui.quiet, "quiet", "q", false, "no hints and warnings, only errors")
	f.BoolVarP(&a.ui.verbose, "verbose", "v", false, "say also what went as expected")
}

func (a *app) run(ctx context.Context, o *runOptions, args []string) error {
	if err := o.outcomeFlags.check(); err != nil {
		return err
	}
	args, err := a.behindWait(&o.wait, args, false)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return usage("no command to run").hintForm("idem run --key KEY -- COMMAND [ARG...]")
	}
	if args[0] == "" {
		return usage("the command is empty: a variable may be unset")
	}
	policy, err := a.checkFlags(o)
	if err != nil {
		return err
	}
	if o.opensFiles() {
		if err := sound(); err != nil {
			return err
		}
	}
	a.warnNotDisabled()
	files, err := o.files()
	if err != nil {
		return err
	}
	meta, err := openMeta(o.metaFile, o.metaFD)
	if err != nil {
		return err
	}
	defer meta.close()
	call, res, err := a.recorded(ctx, o, policy, args, files)
	without := o.goesOn(err)
	if without {
		call, res, err = a.unprotected(ctx, o, policy, args, err)
	}
	proc.OutlivePipe() // our exit status says more than a death by it
	a.signal = res.Fatal
	if err != nil {
		return a.notStarted(o, meta, call.ID, args, err)
	}
	res.Record.Current.Inputs = a.keep.recorded(res.Record.Current.Inputs)
	view := metaOf(res, call)
	if without {
		view = unprotected(view)
	}
	return a.made(o, meta, view, call, res)
}

// opensFiles reports whether a call opens files or sets timers of its own before
// it knows whether it runs the command.
func (o *runOptions) opensFiles() bool {
	return o.wait.limit > 0 || o.inputs.Opens() || o.metaFile != "" || o.metaFD != noMetaFD || len(o.paths) > 0 || onGitHub()
}

// given reports whether a flag is on the command line.
func (o *runOptions) given(name string) bool { return o.flagSet.Changed(name) }

// checkFlags refuses flags that do not fit each other, before the ledger is looked
// for, and returns the policy.
func (a *app) checkFlags(o *runOptions) (runner.Policy, error) {
	if err := a.remember(&o.storing, o.key); err != nil {
		return runner.Policy{}, err
	}
	if _, err := a.named(&o.keyFlags); err != nil {
		return runner.Policy{}, err
	}
	if err := o.fits(); err != nil {
		return runner.Policy{}, err
	}
	return o.policy(o.ttl.limit)
}

// made is for a call that was made: it tells what came of it.
func (a *app) made(o *runOptions, meta *meta, view func() metaView, call runner.Call, res runner.Result) error {
	meta.write(view, &a.ui)
	code, f := a.outcome(res, call)
	a.tellDrift(res, call)
	a.tellGitHub(o, view, code, f, replayedText(res))
	switch {
	case res.Unrecorded != nil:
		a.signal = 0 // that it is not known what it did is the greater news
	case res.Action == runner.Execute && res.Record.Current.Reason == ledger.ReasonSignal:
		a.signal, a.group = res.Status.Signal, res.Status.Typed
	}
	if f != nil {
		return a.remapped(o, f)
	}
	a.exit = code
	if per := o.calendar(); per != "" && a.ui.verbose {
		a.ui.hint(flagAdvice("--ttl counts from the start of the last success; for once in each "+per+" of the calendar", "--per "+per))
	}
	return nil
}

// notStarted is for a call that could not be made: err says why nothing was
// started.
func (a *app) notStarted(o *runOptions, meta *meta, id ledger.ID, argv []string, err error) error {
	view := metaOfError(id, err)
	var stopped *proc.SignalError
	if errors.As(err, &stopped) {
		meta.write(view, &a.ui)
		a.ui.note("%v", err)
		a.exit, a.signal = 128+int(stopped.Signal), stopped.Signal
		return nil
	}
	f := failureOf(err)
	meta.write(view, &a.ui)
	a.mendStart(f, argv)
	a.tellGitHub(o, view, exitOK, f, "")
	return a.remapped(o, f)
}

// remapped applies --exit-code to an error. What the caller wants to be a
// success is no longer an error: cron would mail its message.
func (a *app) remapped(o *runOptions, err error) error {
	f := *failureOf(err)
	f.code = o.exitCodes.of(f.code)
	if f.code == exitOK {
		a.ui.note("%v", f.err)
		return nil
	}
	return &f
}

func (a *app) call(o *runOptions, in identified, policy runner.Policy, argv []string, h home) runner.Call {
	id := in.id
	policy.Around = around()
	call := runner.Call{
		Asked: asked(policy.Around, id, h.place),
		ID:    id, Argv: argv, Fingerprint: in.inputs.Fingerprint(), Inputs: a.keep.inputs(in.inputs).Encode(),
		NoOutput: a.keep.no.output, Redact: a.keep.redactor,
		Policy: policy,
		Wait:   o.wait.set, WaitFor: o.wait.limit, MaxOutput: o.maxOutput.bytes,
		OK: o.ok.set, Retries: o.retrying(),
		Timeout: o.timeout.Duration, KillAfter: o.killAfter.Duration, QuietOK: o.quietOK, TTY: o.tty,
		RunID: newRunID, Owner: owner, Now: time.Now,
		Environ: func(at runner.Attempt) []string { return environ(h.variables(at, inside(at, h.place))) },
		Stdin:   in.stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Probe: o.probe, ProbeTimeout: o.probeTimeout.Duration,
		Backlog: h.backlog,
	}
	if !o.quietOK { // which says nothing unless the call fails
		call.Waiting, call.Remind = (&waiting{ui: &a.ui}).busy, remindEvery
	}
	call.Hooks = o.hooks.of(o.exitCodes, &call, h)
	o.replayFlags.set(&call)
	call.Starting = a.starting(o, in.inputs, argv)
	return call
}

// outcome tells what came of a call, and returns its exit status or failure.
func (a *app) outcome(res runner.Result, call runner.Call) (int, *failure) {
	if res.NotRetried != nil {
		a.ui.warn("attempt %d was the last, because the next could not be started: %v", res.Record.Attempts, res.NotRetried)
	}
	a.tellLosses(res)
	key, cur := quote(call.ID.Key), res.Record.Current
	switch {
	case res.Action == runner.Refuse:
		return 0, refusal(res, call)
	case res.Unrecorded != nil:
		a.tellOutput(res, call, nil)
		f := fail(exitUnrecorded, "the command of key %s %s: %v", key, unrecordedText(res), res.Unrecorded)
		if fault := (*ledger.Fault)(nil); errors.As(res.Unrecorded, &fault) && fault.Kind == ledger.FaultReplaced && filepath.Base(fault.Path) == "ledger.db" {
			return 0, f.hint("if the ledger was moved, the outcome is recorded in it: find it with idem show and its --ledger DIR")
		}
		if errors.Is(res.Unrecorded, ledger.ErrCorrupt) {
			return 0, f.hint("what the ledger now remembers of the key, idem cannot say")
		}
		return 0, f.hintFor(call.ID, "see how the key stands now", "show").hintWays(call.ID)
	case res.Action == runner.Replay:
		lost := undelivered(res, call)
		a.tellOutput(res, call, lost)
		if now := call.Now(); call.Policy.TTL > 0 && cur.Started.After(now) {
			a.ui.warn("key %s does not expire for now: it ran at %s, and the clock says %s, so it was set back", key, stamp(cur.Started), stamp(now))
		}
		a.ui.note("%s", replayedText(res))
		return exitStatus(cur), lost
	default:
		if len(res.Holders) > 0 {
			a.ui.warn("key %s stays busy: processes of the command are still alive%s", key, processes(res.Holders))
		}
		lost := undelivered(res, call)
		a.tellOutput(res, call, lost)
		if a.ui.verbose {
			a.ui.note("ran key %s: attempt %d %s in %s", key, cur.Number, ending(cur), cur.Ended.Sub(cur.Started).Round(time.Millisecond))
		}
		return exitStatus(cur), lost
	}
}

// replayedText says that a call was a replay.
func replayedText(res runner.Result) string {
	cur := res.Record.Current
	return fmt.Sprintf("replayed key %s: %s %s, %s", quote(res.Record.ID.Key), which(cur), ending(cur), when(cur.Started))
}

// unrecordedText says how a command ended whose outcome is not in the ledger.
func unrecordedText(res runner.Result) string {
	if errors.As(res.Unrecorded, new(*proc.LostError)) {
		return "ran, but its outcome is not known"
	}
	return "ran and " + statusText(res.Status) + ", but that could not be recorded"
}

// newRunID returns a UUIDv7, which sorts by time.
func newRunID() string { return uuid.Must(uuid.NewV7()).String() }

// owner says who we are. It is for people to read, so that what cannot be
// found out is left open.
func owner() ledger.Owner {
	host, _ := os.Hostname()
	o := ledger.Owner{Host: host, PID: os.Getpid(), User: strconv.Itoa(os.Geteuid())}
	if u, err := user.LookupId(o.User); err == nil {
		o.User = u.Username
	}
	return o
}
