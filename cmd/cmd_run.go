package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/ledger"
	"idem/proc"
	"idem/runner"
	"idem/sidefile"
)

// runOptions are the flags of idem run.
type runOptions struct {
	keyFlags
	windowFlags
	inputs inputFlags
	*policyFlags
	ttyFlag
	stdinFlag
	storeFlags
	outcomeFlags

	wait wait
	mutexFlags
	sharedFlags
	replayFlags
	quietOK   bool
	json      bool
	maxOutput size
	replayFiles
	metaFile  string
	metaFD    int
	flagSet   *pflag.FlagSet
	inShared  func() bool // whether the ledger is a shared one
	ui        *ui
	exitCodes exitCodes
	hooks     hooks

	onLedgerError choice
	ask           bool         // of idem check and explain
	step          *stepOptions // of idem step; else nil
}

const runLong = `Run a command once per key.

The first call runs the command and records its exit status and its output.
After a success, further calls with the same key and inputs replay both and do
not start the command. After a failure, the next call runs the command again.
While the command runs, other calls are refused or wait.

The flags of idem come before the command; "--" ends them. Durations are written
as 90s, 15m, 1h30m, 7d or 2w; a plain number counts seconds.`

const runExample = `  idem run --key "deploy:prod:$CI_PIPELINE_ID" -- ./deploy.sh prod
  idem run --key "webhook:$EVENT_ID" --wait=30s -- ./handle.sh "$EVENT_ID"
  7 2 * * *  idem run --key backup --per day --quiet-ok -- backup.sh`

func newRunOptions() *runOptions {
	return &runOptions{
		inputs:        newInputFlags(),
		policyFlags:   newPolicyFlags(),
		outcomeFlags:  newOutcomeFlags(),
		sharedFlags:   newSharedFlags(),
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
	o.jsonFlag(c.Flags())
	if disabled() {
		c.DisableFlagParsing = true
		c.RunE = a.runDisabled
	}
	return c
}

// callFlags adds all flags of idem run. The commands that ask about a call have them
// too, so only the name of the command changes in a command line.
func (a *app) callFlags(f *pflag.FlagSet, o *runOptions) {
	a.itemFlags(f, o)
	f.Var(&o.wait, "wait", "wait for the key and --mutex, at most `DURATION`; then replay a success or run after a failure; fresh: replay only later runs")
	f.Lookup("wait").NoOptDefVal = waitForever
	o.ttyFlag.addTo(f)
	o.stdinFlag.addTo(f)
	o.replayFlags.addTo(f)
	o.replayFiles.addTo(f)
	f.Var(&o.onLedgerError, "on-ledger-error", "choose what to do if the ledger cannot be used: refuse (status 69), or run the command without a record")
}

// itemFlags adds the flags that idem run shares with idem each.
func (a *app) itemFlags(f *pflag.FlagSet, o *runOptions) {
	f.SetInterspersed(false) // flags after the command belong to the command
	f.SortFlags = false
	o.flagSet, o.ui, o.inShared = f, &a.ui, a.inShared
	o.keyFlags.addTo(f)
	o.windowFlags.addTo(f)
	o.inputs.addTo(f)
	o.mutexFlags.addTo(f)
	o.policyFlags.addTo(f)
	o.storeFlags.addTo(f)
	o.outcomeFlags.addTo(f)
	o.sharedFlags.addTo(f)
	f.BoolVar(&o.quietOK, "quiet-ok", false, "print the command's output only if it fails; for cron, which mails all output")
	f.Var(&o.maxOutput, "max-output", "record at most `SIZE` of output, such as 10MiB, 0 or unlimited; beyond it, keep the start and the last 1 MiB (the live output is never cut)")
	f.StringVar(&o.metaFile, "meta-file", "", "write a JSON object about the call to the file `PATH`")
	f.IntVar(&o.metaFD, "meta-fd", noMetaFD, "write a JSON object about the call to the open descriptor `N`")
	f.Lookup("meta-fd").DefValue = "0" // pflag shows no default that is zero
	f.Var(o.exitCodes, "exit-code", "replace an exit status of idem, or the status 0 of a success, with N: `NAME=N`, where NAME is running, mismatch, interrupted, failed, ledger, output, replayed or executed; repeatable (running=0 for a quiet cron)")
	o.hooks.addTo(f)
	f.BoolVarP(&a.ui.quiet, "quiet", "q", false, "print errors only, no warnings and hints")
	f.BoolVarP(&a.ui.verbose, "verbose", "v", false, "print notes about what went as expected")
}

// plan is a call of idem run whose flags and arguments have been checked.
type plan struct {
	flags  *runOptions
	argv   []string // the command
	policy runner.Policy
	keep   retention
	files  []sidefile.File
	output runner.Streams // for the output of the command
}

// run makes one call of idem run and reports it.
func (a *app) run(ctx context.Context, o *runOptions, args []string) error {
	p, err := a.plan(o, args)
	if a.answer != nil {
		a.answer.call = p
	}
	if err != nil {
		return err
	}
	out := &meta{}
	if p.files, err = o.files(); err == nil {
		out, err = openMeta(o.metaFile, o.metaFD)
		defer out.close()
	}
	if err == nil && a.answer != nil {
		p.output, err = a.answer.open()
	}
	m := made{err: err}
	if err == nil {
		if m = a.runRecorded(ctx, p); o.runsUnprotected(m.err) {
			m = a.runUnprotected(ctx, p, m.err)
		}
	}
	proc.OutlivePipe() // the exit status says more than a death by SIGPIPE
	if m.call.ID == (ledger.ID{}) {
		m.call.ID = a.givenID(o)
	}
	if m.err == nil {
		m.res.Record.Current.Inputs = p.keep.recordedInputs(m.res.Record.Current.Inputs)
	}
	a.endHooks(ctx, p, &m)
	var end ending
	if m.err != nil {
		end = a.failRun(p, out, m)
	} else {
		end = a.finishRun(p, out, m)
	}
	if end.signal == 0 && m.res.Unrecorded == nil && !m.res.LeaseLost { // an unknown outcome matters more than the signal
		end.signal = m.res.Fatal
	}
	return &end
}

// plan checks the flags and the arguments of idem run. It creates no file.
func (a *app) plan(o *runOptions, args []string) (plan, error) {
	p := plan{flags: o, output: a.ui.streams()}
	err := o.outcomeFlags.check()
	if err != nil {
		return p, err
	}
	if p.argv, err = a.afterWait(&o.wait, args, false); err != nil {
		return p, err
	}
	if err := checkCommandLine(p.argv); err != nil {
		return p, err
	}
	if p.policy, p.keep, err = a.checkFlags(o); err != nil {
		return p, err
	}
	if o.opensFiles() {
		if err := checkSound(); err != nil {
			return p, err
		}
	}
	a.warnNotDisabled()
	return p, nil
}

// opensFiles reports whether a call opens files or sets timers before it knows
// whether it runs the command. Files of the ledger do not count.
func (o *runOptions) opensFiles() bool {
	return o.wait.limit > 0 || o.inputs.Opens() || o.metaFile != "" || o.metaFD != noMetaFD || len(o.paths) > 0 || o.json || o.verify != "" || onGitHub()
}

// given reports whether a flag is on the command line.
func (o *runOptions) given(name string) bool { return o.flagSet.Changed(name) }

// checkFlags refuses flags that cannot be combined, before the ledger is opened. It
// returns the policy and the retention of the call.
func (a *app) checkFlags(o *runOptions) (runner.Policy, retention, error) {
	keep, err := a.retention(&o.storeFlags, o.key, o.mutexTexts...)
	if err != nil {
		return runner.Policy{}, retention{omit: noStore{args: true}}, err // a hint may show nothing of the call
	}
	if o.step == nil {
		_, err = a.keyID(&o.keyFlags)
	} else {
		err = checkLastName(o.step.name)
	}
	if err != nil {
		return runner.Policy{}, keep, err
	}
	if err := o.checkPairs(); err != nil {
		return runner.Policy{}, keep, err
	}
	policy, err := o.policy(o.ttl.limit, o.wait.fresh)
	policy.EveryAttempt = o.step != nil && o.step.everyAttempt
	return policy, keep, err
}

// runRecorded makes a call with its ledger.
func (a *app) runRecorded(ctx context.Context, p plan) made {
	l, err := a.openLedgerFor(p.flags)
	if err != nil {
		return made{err: err}
	}
	m := a.prepare(ctx, p, a.ledgerHome(l))
	if m.err == nil {
		a.carryOut(ctx, p, &m)
	}
	return m
}

// prepare returns the call of a plan, to be recorded at a home.
func (a *app) prepare(ctx context.Context, p plan, h home) made {
	m := made{home: h}
	in, err := a.identifyCall(ctx, p, h)
	if err == nil {
		in.stdin, err = p.flags.stdinOf(in.stdin)
	}
	if m.err = err; err == nil {
		m.call = a.callOf(p, in, h)
	}
	return m
}

// identifyCall returns the identity of the call of a plan, to be recorded at a home.
func (a *app) identifyCall(ctx context.Context, p plan, h home) (callIdentity, error) {
	if p.flags.step != nil {
		return a.identifyStep(ctx, p.flags, p.argv, h)
	}
	return a.identify(ctx, p.flags, p.argv, h, a.now())
}

// carryOut makes a prepared call.
func (a *app) carryOut(ctx context.Context, p plan, m *made) {
	m.res, m.err = a.runnerAt(p, m.home).Run(ctx, m.call)
	m.err = ofStep(m.err, m.call)
	if p.flags.step != nil && p.flags.step.drain && m.res.Action == runner.ActionReplay {
		proc.Drain(os.Stdin)
	}
	a.reportHookFaults(m.res.HookFaults)
}

// runnerAt returns the runner for the calls of idem run that are recorded at a home.
func (a *app) runnerAt(p plan, h home) *runner.Runner {
	o := p.flags
	r := &runner.Runner{
		Ledger: h.ledger, Now: a.now, NewRunID: newRunID, Owner: owner,
		Environ: h.environ,
		Live:    p.output, Replayed: o.replayed(p.output),
		Redact: p.keep.redactor, Backlog: h.backlog, Hooks: o.runnerHooks(h.unprotected, a.ui.stderr),
	}
	if o.value && !h.unprotected {
		r.Scratch = h.Scratch
	}
	if !o.quietOK { // --quiet-ok prints nothing unless the call fails
		r.Waiting = runner.Waiting{Tell: (&waiting{ui: &a.ui}).held, Remind: remindEvery}
	}
	return r
}

// callOf returns the call of a plan that is recorded at a home.
func (a *app) callOf(p plan, in callIdentity, h home) runner.Call {
	o := p.flags
	probe, verification := o.questions()
	return runner.Call{
		ID: in.id, Origin: in.origin, Argv: p.argv, Stdin: in.stdin, TTY: o.tty,
		Inputs: runner.Inputs{
			Fingerprint: in.inputs.Fingerprint(), Encoded: p.keep.inputs(in.inputs).Encode(),
			Starting: a.starting(o, in.inputs, p.argv, p.keep),
		},
		Policy: p.policy, Probe: probe, Verification: verification,
		Inside:  insideOf(in.id, h.place),
		Mutexes: o.mutexes,
		Wait:    runner.Wait{Set: o.wait.set, Limit: o.wait.limit},
		Limits:  runner.Limits{Timeout: o.timeout.Duration, KillAfter: o.killAfter.Duration},
		OK:      o.ok.set, Retries: o.retryPolicy(),
		Output: runner.Output{Max: o.maxOutput.bytes, None: p.keep.omit.output, Quiet: o.quietOK},
		Replay: o.replayPolicy(), Files: p.files,
	}
}

// finishRun reports the result of a call and returns the ending of idem.
func (a *app) finishRun(p plan, meta *meta, m made) ending {
	res, call, view := m.res, m.call, m.view()
	meta.write(view, &a.ui)
	code, f := a.outcome(p.flags, res, call)
	a.reportDrift(res, call)
	if res.Action == runner.ActionExecute && res.Record.Current.Reason == ledger.ReasonTimeout {
		a.ui.warn("the command was ended by --timeout %s", &p.flags.timeout)
	}
	a.answer.about(view, f)
	if a.answer != nil && f == nil && res.Record.Current.State == ledger.Succeeded {
		a.answer.undelivered = func(err error) ending { return a.remapped(p.flags, unwrittenFailure(res, call, []error{err})) }
	}
	a.reportGitHub(p.flags, view, code, f, res)
	end := ending{code: code}
	if f != nil {
		end = a.remapped(p.flags, f)
	}
	if res.Unrecorded == nil && !res.LeaseLost && res.Action == runner.ActionExecute && res.Record.Current.Reason == ledger.ReasonSignal {
		end.signal, end.group = res.Status.Signal, res.Status.Typed
	}
	if f == nil && a.ui.verbose {
		a.hintPer(p.flags)
	}
	return end
}
