//go:build linux

package shared

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
)

// The promises of the part shared-done that no other part has.
const (
	noRow    = "keys that succeeded without a row"
	noRows   = "keys with more than one row"
	noOrphan = "keys that were interrupted although their row is there"
	noLateTx = "rows of a holder that was taken over"
)

// doneHits are what is killed under a command.
var doneHits = []string{"idem", "psql", "idem and psql", "the server"}

// doneTest is one run of the part.
type doneTest struct {
	*stage
	mu      sync.Mutex
	counts  map[string]int
	restart sync.Mutex // held by a crash of the server
}

// Done runs the part: processes are killed under commands whose transaction inserts a row
// and calls the function done of the ledger.
func Done(l *lab.Lab) error {
	s, err := raise(l, []string{"a", "b"})
	if err != nil {
		return err
	}
	defer s.fall()
	if err := s.initLedger(s.server, s.machines[0]); err != nil {
		return err
	}
	if _, err := s.server.sql("create table public.effect (key text, run text); grant select, insert on public.effect to " + role); err != nil {
		return err
	}
	r := &doneTest{stage: s, counts: map[string]int{}}
	kills, fenced := 1000, 200
	if l.Quick {
		kills, fenced = 40, 8
	}
	begin := time.Now()
	inParallel(kills, l.Parallel, func(i int) {
		k := s.newKey("done")
		k.rerun = false
		r.kill(s.machines[i%2], k, doneHits[i/2%len(doneHits)], rand.New(rand.NewPCG(l.Seed, uint64(i))))
	})
	inParallel(fenced, 2*l.Parallel, func(i int) {
		k := s.newKey("fenced")
		k.rerun = true
		r.fence(k)
	})
	s.checkLeft()
	t := &s.Figures
	for _, hit := range doneHits {
		t.Count("kills of "+hit, r.counts[hit])
	}
	t.Count("  that left the key with its row", r.counts["row"])
	t.Count("  that left the key without", r.counts["no row"])
	t.Count("holders that were taken over before their transaction", fenced)
	t.Add("seconds", "%.1f", time.Since(begin).Seconds())
	err = s.report(noRow, noRows, noOrphan, noLateTx, noTwice, noFence, noOddity, noStanding, noLeftovers, noHang)
	if err == nil && (r.counts["row"] == 0 || r.counts["no row"] == 0) {
		return errFew
	}
	return err
}

// effect returns the command of a key. It waits for the file wait unless that is "".
func (r *doneTest) effect(m *machine, k *key, wait string) []string {
	return []string{r.Self, "shared-effect", r.journalPath(k.name), r.psql, m.url, wait}
}

// rows returns the runs whose rows a key has.
func (r *doneTest) rows(k *key) []string {
	r.restart.Lock()
	defer r.restart.Unlock()
	out, err := r.server.sql("select run from public.effect where key = '" + k.name + "'")
	lab.Must(err)
	return strings.Fields(out)
}

// kill kills something at a random time of a call. Then it calls until the key succeeds.
func (r *doneTest) kill(m *machine, k *key, hit string, rng *rand.Rand) {
	// The output of a command that was killed after its commit may lack its end.
	flags := append(slices.Clone(lease), "--hash", "none", "--partial")
	c := r.beginRun(m, k, "first", flags, r.effect(m, k, ""))
	if rng.IntN(4) > 0 { // else at a time without a command
		c.started()
	}
	time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
	r.hit(m, c, hit)
	c.finish()

	rows, decided := r.rows(k), false
	r.mu.Lock()
	r.counts[hit]++
	if len(rows) > 0 {
		r.counts["row"]++
	} else {
		r.counts["no row"]++
	}
	r.mu.Unlock()
	for n := 0; n < 50 && !decided; n++ {
		m := r.machines[rng.IntN(2)]
		c := r.run(m, k, "then", append(slices.Clone(flags), "--wait=20s"), r.effect(m, k, ""))
		switch c.code {
		case 0:
			decided = true
		case commandFails, lab.ExitLedger, lab.ExitBusy, lab.ExitUnrecorded: // the server was killed, for example
			time.Sleep(50 * time.Millisecond)
		case lab.ExitInterrupted:
			if rows := r.rows(k); len(rows) > 0 {
				r.trouble.add(noOrphan, k.name, "%v: %s%s", rows, c.err(), r.evidence(lab.Fault{Key: k.name, At: -1}))
				return
			}
			m.call("", k.name+".op", m.url, "mark", "retry", k.name)
		default:
			r.trouble.add(noOddity, k.name, "status %d: %s", c.code, c.err())
			return
		}
	}
	if !decided {
		r.trouble.add(noStanding, k.name, "%s", r.evidence(lab.Fault{Key: k.name, At: -1}))
	}
	r.judge(k)
}

// judge checks the rows of a key that has succeeded.
func (r *doneTest) judge(k *key) {
	rows := r.rows(k)
	if len(rows) == 0 {
		r.trouble.add(noRow, k.name, "%s", r.evidence(lab.Fault{Key: k.name, At: -1}))
	}
	if len(rows) > 1 {
		r.trouble.add(noRows, k.name, "%v%s", rows, r.evidence(lab.Fault{Key: k.name, At: -1}))
	}
	_, faults := check(k.name, k.rerun, r.events(k))
	for _, f := range faults {
		if f.Promise == noTwice || f.Promise == noFence {
			f.What += r.evidence(f)
			r.trouble.add(f.Promise, k.name, "%s", f.What)
		}
	}
}

// hit kills something of a call.
func (r *doneTest) hit(m *machine, c *call, hit string) {
	if hit == "the server" {
		r.restart.Lock()
		defer r.restart.Unlock()
		r.note("crash of the server")
		r.server.stop(unix.SIGQUIT)
		lab.Must(r.server.start())
		return
	}
	host := m.host.Load()
	for _, p := range r.processesOf(host, c.id) {
		isSQL := p.Exe != r.Idem && p.Exe != r.Self
		if hit == "idem" && r.kindOf(p) == hitIdem || hit == "psql" && isSQL || hit == "idem and psql" && (isSQL || r.kindOf(p) == hitIdem) {
			r.note("kill %v", p)
			host.Signal(p, unix.SIGKILL, nil)
		}
	}
}

// fence kills idem and its keeper, so that the lease ends while the command waits. Another
// host takes the key over. Then the command goes on, and its transaction must fail.
func (r *doneTest) fence(k *key) {
	a, b := r.machines[0], r.machines[1]
	flags := append(slices.Clone(shortLease), "--hash", "none", "--partial")
	gate := filepath.Join(r.Dir, "keys", k.name+".go")
	c := r.beginRun(a, k, "holder", flags, r.effect(a, k, gate))
	if !c.started() {
		r.trouble.add(noOddity, k.name, "did not start: %s", lab.Read(c.file+".err"))
		return
	}
	host := a.host.Load()
	for found := true; found; {
		found = false
		for _, p := range r.processesOf(host, c.id) {
			if p.Exe == r.Idem && host.Signal(p, unix.SIGKILL, nil) {
				found = true
			}
		}
	}
	c.finish()
	for {
		t := r.run(b, k, "other", flags, r.effect(b, k, ""))
		if t.code == 0 {
			break
		}
		if t.code != lab.ExitBusy {
			r.trouble.add(noOddity, k.name, "the other host: status %d: %s", t.code, t.err())
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	before := r.rows(k)
	lab.Must(os.WriteFile(gate, nil, 0o600))
	ended := func() bool { return len(r.processesOf(host, c.id)) == 0 }
	for end := time.Now().Add(lab.ExitWithin); !ended() && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if after := r.rows(k); len(after) != 1 || !slices.Equal(before, after) {
		r.trouble.add(noLateTx, k.name, "runs with rows: %v, before the late transaction: %v%s", after, before, r.evidence(lab.Fault{Key: k.name, At: -1}))
	}
}
