package cmd

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"idem/batch"
	"idem/hashkey"
	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

const eachLong = `Run a command for each item of a list, once per item.

The list is stdin or --arg-file, one item per line. An item that succeeded never
runs again: the same call over the same list, or a longer one, runs what is not
done. Items are found again by their value, so lines may be added, removed and
sorted.

In the command, {} is the item and {field} a field of it; without a placeholder,
the item is the last argument. No shell is involved. Write sh -c 'echo "$1"' _
{} instead of a placeholder inside of a script, which is refused.

  KEY     names the batch; the item x has the key KEY/x, which idem show, logs,
          mark and forget take. idem list --under KEY --failed --items prints
          the failed items.
  NAME    inside of idem run: the batch is a step of the run, with the key of
          the run, a slash and NAME, in its window.

An item that is done is skipped without a word. One that failed runs again in
the next call, but in this one only with --retries. One that was interrupted may
be done: it is listed and not touched (79) until idem mark settles it, or with
--on-interrupted rerun or a --probe. An item that another call is running is
waited for at the end.

If the command differs from the one that the batch was begun with, nothing runs
(65), unless --on-mismatch says what to do. An item whose other fields have
changed since it ran is refused alone. What an item prints is kept together;
stdin of the command is /dev/null.

Ctrl-C lets the running items finish; a second one ends them, a third one kills
them. TERM ends them at once. The same call then goes on with the rest.`

const eachExample = `  idem each --key mails -j 4 --rate 10/s -- ./send-mail {} <addresses.txt
  idem each --key june --csv --key-field id -- ./invoice {id} {amount} <june.csv
  find . -name '*.jpg' -print0 | idem each --key thumbnails -0 -- ./thumbnail {}`

const eachForm = "idem each --key KEY [flags] -- COMMAND [ARG...]"

func (a *app) eachCommand() *cobra.Command {
	o := newEachOptions()
	c := &cobra.Command{
		Use:     "each {--key KEY | NAME} [flags] -- COMMAND [ARG...]",
		Short:   "Run a command once per item of a list",
		Long:    eachLong,
		Example: eachExample,
		RunE: func(c *cobra.Command, args []string) error {
			return a.each(c.Context(), o, args, c.ArgsLenAtDash() == 0)
		},
	}
	f := c.Flags()
	o.listFlags.addTo(f)
	o.paceFlags.addTo(f)
	o.showFlags.addTo(f)
	f.BoolVar(&o.dryRun, "dry-run", false, "print what would happen to each item, and change nothing")
	f.BoolVar(&o.itemHooks, "item-hooks", false, "run the hooks for each item, not for the call")
	o.parentFlags.addTo(f)
	a.itemFlags(f, o.runOptions)
	f.Lookup("exit-code").Value = eachExitCodes{o.exitCodes}
	for name, text := range eachUsages() {
		f.Lookup(name).Usage = text
	}
	for _, name := range notOfEach {
		f.Lookup(name).Hidden = true
	}
	return c
}

// bulk is a call of idem each whose flags have been checked.
type bulk struct {
	plan
	flags *eachOptions
	list  list
	home  home
	batch ledger.ID
	// origin is that of the batch, for a batch inside of a run.
	origin   ledger.Origin
	template runner.Template
	path     string // of the command; empty if it was not found
	null     *os.File
	runID    string
}

// each makes one call of idem each and reports it.
func (a *app) each(ctx context.Context, o *eachOptions, args []string, dashed bool) error {
	b, err := a.planEach(o, args, dashed)
	if err != nil {
		return err
	}
	out, err := openMeta(o.metaFile, o.metaFD)
	defer out.close()
	if err != nil {
		return err
	}
	if err := b.list.open(o, b.batchName(), b.argv); err != nil {
		return err
	}
	a.warnTemplate(b)
	if disabled() {
		b.home = a.unprotectedHome(true)
		b.batch = ledger.ID{Namespace: defaultNamespace, Key: b.batchName()}
		o.jobs.n = 1
	} else if err := a.openBatch(ctx, b); err != nil {
		return err
	}
	if o.dryRun {
		return a.dryRun(ctx, b)
	}
	if err := notInside(ctx, b); err != nil {
		return err
	}
	return a.runBatch(ctx, b, out)
}

// planEach checks the flags and the arguments of idem each. It creates no file.
func (a *app) planEach(o *eachOptions, args []string, dashed bool) (*bulk, error) {
	b := &bulk{flags: o, runID: newRunID()}
	b.plan = plan{flags: o.runOptions, argv: args, output: a.ui.streams()}
	o.name = a.name
	switch {
	case o.key != "" && o.name != "":
		return b, usage("idem each takes --key KEY or NAME, not both").detail("the arguments begin with %s, which is read as NAME", quote(o.name)).hintForm(eachForm)
	case !dashed && len(args) > 0:
		return b, usage(`idem each requires "--" before the command`).hintForm(eachForm)
	case len(args) == 0:
		return b, usage("idem each requires a command").hintForm(eachForm)
	case args[0] == "":
		return b, usage("the command is empty: a variable may be unset")
	case o.key == "" && o.name == "":
		return b, usage("the batch has no name: --key is required").
			hintFlags("to name it", "--key KEY").
			hint("inside of a run, NAME is enough: idem each NAME -- COMMAND")
	case o.key != "" && o.parentFlags.in != "":
		return b, usage("--key can't be combined with --in").detail("--in KEY is for a batch of the run KEY").
			hint("inside of a run, name the batch: idem each NAME --in KEY -- COMMAND")
	case o.name != "" && (o.given("per") || o.given("namespace")):
		return b, usage("idem each NAME takes no --per and no --namespace").detail("the batch is in the window and the namespace of its run")
	}
	if o.name != "" {
		o.runOptions.key = o.name // as a step; see checkPairs
	}
	var err error
	if err = o.outcomeFlags.check(); err == nil {
		err = o.checkPairs()
	}
	if err == nil {
		b.keep, err = a.retention(&o.storeFlags, o.key, o.mutexTexts...)
	}
	if err == nil && o.name != "" {
		err = checkLastName(o.name)
	} else if err == nil {
		_, err = a.keyID(&o.keyFlags)
	}
	if err == nil {
		b.policy, err = o.policy(o.ttl.limit, false)
	}
	if b.policy.OnMismatch == "keep" { // about the template only
		b.policy.OnMismatch = runner.ChoiceRefuse
	}
	if err == nil {
		err = checkSound()
	}
	a.warnNotDisabled()
	return b, err
}

// batchName returns the key of the batch as far as the call names it. It is complete
// outside of a run.
func (b *bulk) batchName() string {
	if b.flags.name == "" {
		return b.flags.key
	}
	if b.flags.parentFlags.in != "" {
		return b.flags.parentFlags.in + "/" + b.flags.name
	}
	return os.Getenv("IDEM_KEY") + "/" + b.flags.name
}

// openBatch opens the ledger, and compares the template of the batch with the recorded one.
// It writes nothing.
func (a *app) openBatch(ctx context.Context, b *bulk) error {
	o := b.flags
	l, err := a.openLedgerFor(o.runOptions)
	if err != nil {
		return err
	}
	b.home = a.ledgerHome(l)
	if o.name != "" {
		what := "batch " + quote(o.name)
		if b.origin, err = a.parentOf(ctx, l, &o.parentFlags, what); err != nil {
			return err
		}
		if b.batch, err = below(b.origin.Parent, o.name); err != nil {
			return err
		}
	} else {
		if b.batch, err = a.keyID(&o.keyFlags); err == nil {
			b.batch.Window, err = o.runOptions.windowFlags.window(a.now())
		}
		if err != nil {
			return err
		}
	}
	in, _, err := o.inputs.collect(ctx, b.argv, l)
	if err != nil {
		return err
	}
	for _, part := range b.list.template.Call() { // besides the command line
		if part.Kind != hashkey.KindArg {
			in = append(in, part)
		}
	}
	b.template = runner.Template{
		ID: b.batch, Origin: b.origin, RunID: b.runID, Owner: owner(),
		Fingerprint: in.Fingerprint(), Inputs: b.keep.inputs(in).Encode(),
		Replace: o.onMismatch.value != "refuse", Renew: o.onMismatch.value == "rerun",
	}
	rec, err := l.Get(ctx, b.batch)
	if err != nil {
		return err
	}
	_, err = b.template.Check(rec)
	return a.templateFailure(b, rec, err)
}

// notInside returns an error if this call is made inside of an item of its batch. It would wait
// for items that wait for it.
func notInside(ctx context.Context, b *bulk) error {
	outer := outerAttempts()
	if len(outer) == 0 || b.home.ledger == nil {
		return nil
	}
	for rec, err := range b.home.ledger.List(ctx, ledger.Filter{Namespace: b.batch.Namespace, Under: b.batch, Phases: ledger.Phases{ledger.PhaseRunning}}) {
		if err != nil {
			return err
		}
		if slices.Contains(outer, rec.Current.RunID) {
			return usage("batch %s is already running around this command", quote(b.batch.Key)).
				detail("a batch cannot run inside one of its items").
				hint("give the inner batch a key of its own")
		}
	}
	return nil
}

// templateFailure returns the failure for an error of a template.
func (a *app) templateFailure(b *bulk, rec ledger.Record, err error) error {
	var busy *ledger.BusyError
	call := runner.Call{ID: b.batch, Inputs: runner.Inputs{Fingerprint: b.template.Fingerprint, Encoded: b.template.Inputs}}
	switch {
	case errors.Is(err, runner.ErrTemplate):
		rec.Current.Inputs = b.keep.recordedInputs(rec.Current.Inputs)
		f := fail(exitMismatch, "batch %s was begun with another command", quote(b.batch.Key))
		f.details = changes(rec.Current, call)
		f.detail("recorded %s %s", timeText(rec.Current.Started), ownerText(rec.Current.Owner)).
			hintFlags("to keep what is done and run the rest with the new command", "--on-mismatch keep").
			hintFlags("to run all items again", "--on-mismatch rerun").
			hint("a new list of other work needs a new key")
		return a.remapped(b.plan.flags, hintSecret(f, rec.Current, call)).pointer()
	case errors.Is(err, runner.ErrNotBatch):
		f := usage("key %s is that of a run, not of a batch", quote(b.batch.Key))
		if rec.Phase() == ledger.PhaseRunning {
			return f.hint("inside of the run, name the batch: idem each NAME -- COMMAND")
		}
		return f.hintFor(b.batch, "to see the run", "show").hint("a batch needs a key that no run has")
	case errors.As(err, &busy):
		return fail(exitBusy, "not all items can run again: key %s is running", quote(busy.ID.Key)).hintFor(busy.ID, "to wait for it", "wait")
	}
	return err
}

// runBatch runs the items and reports the result.
func (a *app) runBatch(ctx context.Context, b *bulk, out *meta) error {
	o := b.flags
	log, err := openEvents(o.events, o.eventsFD)
	if err != nil {
		return err
	}
	defer log.close()
	if b.null, err = os.Open(os.DevNull); err != nil {
		return err
	}
	defer b.null.Close()
	if err := proc.Ready(false); err != nil {
		return fail(proc.CannotRun, "%v", err)
	}
	if path, err := proc.LookPath(b.argv[0]); err == nil { // a list that is done needs no command
		b.path = path
	}
	if n := proc.Room(o.jobs.n, filesPerItem); n < o.jobs.n {
		a.ui.warn("at most %s at the same time, not %s: the process limits leave no room", pluralVerb(n, "item runs", "items run"), o.jobs.text)
		a.ui.warnDetail("ulimit -n and ulimit -u show them")
		o.jobs.n = n
	}
	first, err := b.list.peek()
	if err == nil {
		b.list.putBack(first)
	}
	if err == nil && !disabled() { // an empty list writes nothing
		if rec, err := b.template.Record(ctx, b.home.ledger); err != nil {
			return a.templateFailure(b, rec, err)
		}
	}
	items := newItemCalls(a, b)
	run := &batch.Batch{
		Forgets: disabled(),
		Runner:  a.itemRunner(b), Parent: b.batch, RunID: b.runID,
		Next: func() (batch.Entry, error) { return b.next() }, Policy: b.policy,
		Call: func(e batch.Entry) runner.Call { return a.itemCall(b, e) }, Prepare: items.prepare,
		Slots: o.jobs.n, Interval: o.rate.interval, Limit: o.limit, Only: batch.Selection(o.only.value),
		Tolerance: o.tolerance(), KillRunning: o.killRunning, SkipBad: o.skipBad,
		Wait: runner.Wait{Set: !o.noWait}, Size: b.list.size, Skips: o.skipped,
	}
	show := a.beginShow(b, run)
	report := newEachReport(a, b, run, log)
	run.Tell = func(n batch.Notice) {
		items.done(n)
		report.tell(ctx, n)
	}
	run.Direct()
	defer run.Signals.Stop()
	report.begin()
	res := run.Run(ctx)
	// Printing may wait forever for its reader, so signals must end idem again.
	run.Signals.Stop()
	if sig, ok := run.Signals.Meant(); ok && res.Signal == 0 { // it came after the end of the batch
		res.Signal = sig
	}
	end := report.end(ctx, res, show.end(ctx, res), out)
	return &end
}

// filesPerItem is the number of descriptors that an item needs besides those of its
// command: its locks, its output, and stdin.
const filesPerItem = 5

// pointer makes an error of an ending.
func (e ending) pointer() error { return &e }
