package cmd

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"strings"
	"time"

	"idem/ledger"
	"idem/runner"
)

// orphanAge is the age from which on an output that no record names is removed. A call that has just
// begun may be about to name it.
const orphanAge = time.Hour

// collection is a run of idem gc. A dry run takes the same steps and decides alike; it only leaves out
// the removals.
type collection struct {
	ledger ledger.Ledger
	from   ledger.Collecting
	keep   runner.Retention
	most   int64 // bytes of all outputs; 0: no limit
	dryRun bool
	now    time.Time
	seed   maphash.Seed
	doomed map[uint64]int64 // bytes of the outputs of the records that are to be dropped, by a hash of their names
	report gcReport
}

// gcReport counts what was or would be removed.
type gcReport struct {
	dryRun      bool
	orphans     int
	orphanBytes int64
	outputs     map[runner.Removal]*tally // by reason
	records     map[runner.Removal]int    // by reason, with all that is below them
	recordBytes int64                     // of the outputs of these records
	successes   int                       // of these records, those that had succeeded and were requested as keys
	before      int64                     // bytes of all outputs
	running     int
	interrupted int
	unreadable  []string
	damaged     []ledger.StoredOutput // outputs that stay because their records are damaged; a dry run does not see that
}

// removed reports whether anything was removed.
func (r *gcReport) removed() bool {
	return r.orphans > 0 || len(r.outputs) > 0 || len(r.records) > 0
}

// after returns the bytes of the outputs that stay.
func (r *gcReport) after() int64 {
	n := r.before - r.orphanBytes - r.recordBytes
	for _, t := range r.outputs {
		n -= t.bytes
	}
	return max(0, n)
}

// tally is a number of outputs.
type tally struct {
	n     int
	bytes int64
}

// run removes what may go. After an error, the report has what was removed until then.
func (g *collection) run(ctx context.Context) error {
	g.report = gcReport{dryRun: g.dryRun, outputs: map[runner.Removal]*tally{}, records: map[runner.Removal]int{}}
	g.seed, g.doomed = maphash.MakeSeed(), map[uint64]int64{}
	for r, err := range g.ledger.List(ctx, ledger.Filter{Namespace: g.keep.Namespace, Phases: ledger.Phases{ledger.PhaseRunning, ledger.PhaseInterrupted}}) {
		if err != nil {
			return err
		}
		if r.Phase() == ledger.PhaseRunning {
			g.report.running++
		} else {
			g.report.interrupted++
		}
	}
	for o, err := range g.oldRecords(ctx) {
		if err != nil {
			return err
		}
		g.doomed[g.hash(o.Record.ID)] = 0
	}
	if err := g.removeOrphans(ctx); err != nil {
		return err
	}
	if err := g.fit(ctx); err != nil {
		return err
	}
	if err := g.removeOutputs(ctx); err != nil {
		return err
	}
	if err := g.dropRecords(ctx); err != nil || g.dryRun {
		return err
	}
	return g.from.Sweep(ctx)
}

func (g *collection) removeOrphans(ctx context.Context) error {
	orphans, unreadable, err := g.from.Orphans(ctx, g.now.Add(-orphanAge))
	if err != nil {
		return err
	}
	g.report.unreadable = unreadable
	for _, o := range orphans {
		g.report.before += o.Bytes
	}
	if !g.dryRun {
		orphans, err = g.from.RemoveOrphans(ctx, orphans)
	}
	for _, o := range orphans {
		g.report.orphans++
		g.report.orphanBytes += o.Bytes
	}
	return err
}

// fit finds out which outputs have to go for --max-bytes.
func (g *collection) fit(ctx context.Context) error {
	if g.most == 0 {
		return nil
	}
	var kept []runner.Sized
	for o, err := range g.from.StoredOutputs(ctx) {
		if err != nil {
			return err
		}
		if g.keep.In(o.ID) && g.keep.Output(o) == runner.Keep {
			if _, doomed := g.doomedBy(o); !doomed {
				kept = append(kept, runner.Sized{At: o.At, Bytes: o.Bytes})
			}
		}
	}
	g.keep.Room = runner.Fit(kept, g.most)
	return nil
}

// doomedBy returns the hash of the record with which an output goes: its own, or one above it.
func (g *collection) doomedBy(o ledger.StoredOutput) (hash uint64, doomed bool) {
	if len(g.doomed) == 0 {
		return 0, false
	}
	for id := o.ID; ; {
		hash = g.hash(id)
		if _, doomed = g.doomed[hash]; doomed {
			return hash, true
		}
		end := strings.LastIndexByte(id.Key, '/')
		if end < 0 || !o.Child {
			return 0, false
		}
		id.Key = id.Key[:end]
	}
}

func (g *collection) hash(id ledger.ID) uint64 { return maphash.Comparable(g.seed, id) }

func (g *collection) removeOutputs(ctx context.Context) error {
	for batch, err := range batches(g.from.StoredOutputs(ctx), func(o ledger.StoredOutput) bool {
		g.report.before += o.Bytes
		if hash, doomed := g.doomedBy(o); doomed {
			g.doomed[hash] += o.Bytes
			return false
		}
		return g.keep.Output(o) != runner.Keep
	}) {
		if err != nil {
			return err
		}
		if !g.dryRun {
			batch, err = g.from.RemoveOutputs(ctx, batch)
			if damaged := (*ledger.DamagedError)(nil); errors.As(err, &damaged) {
				g.report.damaged, err = append(g.report.damaged, damaged.Outputs...), nil
			}
		}
		for _, o := range batch {
			why := g.keep.Output(o)
			if g.report.outputs[why] == nil {
				g.report.outputs[why] = &tally{}
			}
			g.report.outputs[why].n++
			g.report.outputs[why].bytes += o.Bytes
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// oldRecords yields the records that may go.
func (g *collection) oldRecords(ctx context.Context) iter.Seq2[ledger.OldRecord, error] {
	return func(yield func(ledger.OldRecord, error) bool) {
		before := g.keep.Oldest()
		if before.IsZero() {
			return
		}
		for o, err := range g.from.OldRecords(ctx, before) {
			if err == nil && g.keep.Record(o) == runner.Keep {
				continue
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

func (g *collection) dropRecords(ctx context.Context) error {
	for batch, err := range batches(g.oldRecords(ctx), func(o ledger.OldRecord) bool {
		_, doomed := g.doomed[g.hash(o.Record.ID)]
		return doomed
	}) {
		if err != nil {
			return err
		}
		if !g.dryRun {
			batch, err = g.from.DropRecords(ctx, batch)
		}
		for _, o := range batch {
			why := g.keep.Record(o)
			g.report.records[why] += 1 + o.Below.Records
			if why == runner.RemovalKey && o.Record.Current.State == ledger.Succeeded {
				g.report.successes++
			}
			g.report.recordBytes += g.doomed[g.hash(o.Record.ID)]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// batches yields the elements that want selects, many at once, and then an error, if there is one.
func batches[T any](all iter.Seq2[T, error], want func(T) bool) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		var batch []T
		for x, err := range all {
			if err != nil {
				yield(nil, err)
				return
			}
			if !want(x) {
				continue
			}
			if batch = append(batch, x); len(batch) == ledger.MaxRemoved {
				if !yield(batch, nil) {
					return
				}
				batch = nil
			}
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}
