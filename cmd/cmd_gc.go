package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"idem/ledger"
)

const gcLong = `Free the space of recorded outputs that are no longer needed. By default, idem
removes outputs that are older than 90 days, and after 7 days those that a
later attempt or mark has replaced. It removes no key: a replay without its
output warns and exits with the recorded status.

Keys are forgotten only on request. With --windows-older-than, these are the
records of keys with --per that have succeeded or failed. With
--keys-older-than, they are those that match a pattern: the same calls would
then run again, with a new IDEM_TOKEN. A key goes with its steps or items, when
all of them are old enough. A step or an item does not go alone.

The keys that are running or interrupted stay as they are, and so do their
outputs. A key that has not succeeded also keeps the outputs of its steps, on
any level: its next call takes them as values.

An AGE counts from the end of the attempt. It is a duration such as 36h, 90d,
8w or 2y, 0 for any age, or never.

With -n, idem only says what it would remove, and writes nothing. Other
calls go on while idem gc runs. If it is cut off, the next one goes on.

--vacuum full needs twice the size of the ledger as free space, and is refused
(75) while a key is running. Other calls wait for 30 s, and are then refused.`

func (a *app) gcCommand() *cobra.Command {
	o := newGCOptions()
	c := &cobra.Command{
		Use:   "gc [PATTERN...]",
		Short: "Remove old outputs, and old keys on request",
		Long:  gcLong,
		Example: `  idem gc -n
  idem gc --outputs-older-than 30d --max-bytes 2GB
  idem gc --windows-older-than 400d
  idem gc -n --keys-older-than 2y 'order:*'`,
		RunE: func(c *cobra.Command, patterns []string) error { return a.gc(c.Context(), o, patterns) },
	}
	f := c.Flags()
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "say what would be removed, and remove nothing")
	f.Var(&o.outputs, "outputs-older-than", "remove outputs older than `AGE`")
	f.Var(&o.superseded, "superseded-older-than", "remove outputs older than `AGE` that a later attempt or mark has replaced")
	f.Var(&o.maxBytes, "max-bytes", "then remove the oldest outputs until all of them fit in `SIZE`, such as 2GB")
	f.Var(&o.windows, "windows-older-than", "forget records of windows older than `AGE`, such as 400d")
	f.Var(&o.keys, "keys-older-than", "forget keys older than `AGE` that match PATTERN")
	f.BoolVar(&o.force, "force", false, "accept a pattern that matches all keys")
	f.Var(&o.vacuum, "vacuum", "give free space back: auto, full (copy the whole ledger) or none")
	namespaceFlag(f, &a.namespace, "look only at namespace `NAME` (IDEM_NAMESPACE; default: all namespaces)")
	f.BoolVar(&o.json, "json", false, "print a JSON object")
	f.BoolVarP(&a.ui.quiet, "quiet", "q", false, "print one line")
	return c
}

func (a *app) gc(ctx context.Context, o *gcOptions, patterns []string) error {
	keep, err := o.retention(a, patterns)
	if err != nil {
		return err
	}
	l, err := a.openLedger()
	if err != nil {
		return err
	}
	shrinking, _ := l.(ledger.Shrinking)
	if o.vacuum.value == "full" && shrinking == nil {
		return usage("--vacuum full is only for a ledger in a directory").detail("in PostgreSQL, that is VACUUM FULL, by the owner of the tables")
	}
	full := o.vacuum.value == "full" && !o.dryRun
	if full {
		if err := mayVacuum(ctx, l, shrinking); err != nil {
			return err
		}
	}
	a.warnNoLedger(ctx, l)
	g := &collection{ledger: l, from: l.(ledger.Collecting), keep: keep, dryRun: o.dryRun, now: a.now()}
	if o.maxBytes.bytes > 0 {
		g.most = o.maxBytes.bytes
	}
	if !o.dryRun {
		defer ledger.Sustain(l)()
	}
	err = g.run(ctx)
	a.warnSuccesses(g.report.successes, o.dryRun)
	if err == nil && !o.dryRun && shrinking != nil && o.vacuum.value != "none" {
		err = shrinking.Shrink(ctx, full)
	}
	if err != nil && !g.report.removed() {
		return err
	}
	if reported := a.reportGC(&g.report, o); err == nil {
		err = reported
	}
	return err
}

// mayVacuum refuses to copy the whole ledger while a command runs, because its outcome could not be
// recorded in time, or if the space for the copy is missing.
func mayVacuum(ctx context.Context, l ledger.Ledger, shrinking ledger.Shrinking) error {
	n := 0
	for _, err := range l.List(ctx, ledger.Filter{Phases: ledger.Phases{ledger.PhaseRunning}}) {
		if err != nil {
			return err
		}
		n++
	}
	if n > 0 {
		return fail(exitBusy, "--vacuum full has to wait: %s running", pluralVerb(n, "key is", "keys are")).
			detail("it stops all other calls, so an outcome could get lost; nothing was removed").
			hint("to give the space back a piece at a time: idem gc --vacuum auto")
	}
	return shrinking.HasRoom(ctx)
}

// warnSuccesses says how many successes were forgotten on request, or would be.
func (a *app) warnSuccesses(n int, dryRun bool) {
	if n == 0 {
		return
	}
	text := pluralVerb(n, "success is forgotten", "successes are forgotten")
	if dryRun {
		text = pluralVerb(n, "success would be forgotten", "successes would be forgotten")
	}
	a.ui.say(warningMark, "%s: the same calls would run again", text)
}
