//go:build linux

package shared

import (
	"slices"
	"strings"
	"sync"
	"time"

	"idem/test/chaos/lab"
)

// decideAll makes sure that each key can be decided in the end: it succeeds, or fails, or
// is unknown and can be marked.
func (r *trial) decideAll() {
	time.Sleep(leaseTime) // of holders that were killed just now
	work := make(chan *key)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for k := range work {
				r.decide(r.machines[i%len(r.machines)], k)
			}
		})
	}
	for _, k := range r.keys {
		if k.acks < shares {
			work <- k
		}
	}
	close(work)
	group.Wait()
}

func (r *trial) decide(m *machine, k *key) {
	for n := range 20 {
		c := r.run(m, k, "end", slices.Concat(lease, []string{"--wait=20s"}), r.command(k))
		switch c.code {
		case 0:
			return
		case commandFails:
		case lab.ExitInterrupted:
			k.journal.Add(lab.Event{Kind: lab.MarkRetry, Call: k.name + "/op.end"})
			c := m.call("", k.name+".op", m.url, "mark", "retry", k.name, "--note", "the end")
			k.journal.Add(lab.Event{Kind: lab.Marked, Call: k.name + "/op.end", Code: c.code})
			if c.code == lab.ExitUsage && strings.Contains(c.err(), "because it has succeeded") {
				continue // its outcome was kept on a host, and was sent just now
			}
			if c.code != 0 {
				r.trouble.add(noStanding, k.name, "idem mark retry: status %d: %s", c.code, c.err())
				return
			}
		default:
			r.trouble.add(noStanding, k.name, "call %d at the end: status %d: %s", n, c.code, c.err())
			return
		}
	}
	r.trouble.add(noStanding, k.name, "its command failed 20 times")
}

// finish checks the journals and compares them with the records, and reports.
func (r *trial) finish(h *hits, took time.Duration) error {
	records := r.records(r.machines[0])
	var sum counts
	for _, k := range r.keys {
		events, err := lab.ReadJournal(r.journalPath(k.name))
		if err != nil {
			return err
		}
		n, faults := check(k.name, k.rerun, events)
		sum.add(n)
		for _, f := range faults {
			f.What += r.evidence(f)
			r.trouble.all = append(r.trouble.all, f)
		}
		if records != nil {
			r.compare(k, events, records[k.name])
		}
	}
	t := &r.Figures
	t.Count("keys", len(r.keys))
	t.Count("calls", sum.calls)
	t.Count("  refused because the ledger was out of reach", sum.refused)
	t.Count("  refused because the key was running", sum.busy)
	t.Count("  refused because the outcome was unknown", sum.unknown)
	t.Count("  whose outcome could not be recorded in time", sum.unrecorded)
	t.Count("starts", sum.starts)
	t.Count("replays", sum.replays)
	t.Count("marks", sum.marks)
	total := 0
	for _, name := range hitNames {
		t.Count(name, h.n[name])
		total += h.n[name]
	}
	t.Add("seconds", "%.1f", took.Seconds())
	err := r.report(promises...)
	if err == nil && (total < 20 || sum.starts < 20 || sum.replays < 20) {
		return errFew
	}
	return err
}

// compare compares a journal with the record of its key.
func (r *trial) compare(k *key, events []lab.Event, x record) {
	acknowledged, ended := "", map[string]bool{}
	done := false
	for _, e := range events {
		switch {
		case e.Kind == lab.Returned && e.Code == 0:
			done, acknowledged = true, e.Run
		case e.Kind == lab.Ended && e.Code == 0:
			ended[e.Run] = true
		}
	}
	if done && x.State != "succeeded" {
		r.trouble.add(noLoss, k.name, "the ledger says %q, a call had succeeded by run %q%s", x.State, acknowledged, r.evidence(lab.Fault{Key: k.name, At: -1}))
	}
	if x.State == "succeeded" && acknowledged != "" && x.Run != acknowledged {
		r.trouble.add(noDifference, k.name, "the ledger has run %s, a call had %s", x.Run, acknowledged)
	}
	if x.State == "succeeded" && acknowledged == x.Run && !ended[x.Run] {
		r.trouble.add(noInvention, k.name, "the ledger says that run %s succeeded", x.Run)
	}
}
