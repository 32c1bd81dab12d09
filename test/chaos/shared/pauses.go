//go:build linux

package shared

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"idem/test/chaos/lab"
)

// The promises of the part shared-pauses that no other part has.
const (
	noHaste    = "calls that were decided while the lease was valid"
	noChange   = "records that a holder changed after its lease"
	noSurvivor = "frozen commands that went on working"
)

// shortLease has flags with which a frozen holder is late after three seconds.
var shortLease = []string{"--lease", "3s", "--kill-after", "500ms", "--connect-timeout", "3s", "--finish-timeout", "6s"}

// pauses is one run of the part.
type pauses struct {
	*stage
	mu       sync.Mutex
	codes    map[int]int // of the frozen holders
	overlaps int
	longest  time.Duration // from the waking of a holder to the end of its command
}

// Pauses runs the part: holders are frozen for longer than their lease, with their keepers
// and commands. Under refuse no other call may start, under rerun the later one wins.
func Pauses(l *lab.Lab) error {
	s, err := raise(l, []string{"a", "b"})
	if err != nil {
		return err
	}
	defer s.fall()
	if err := s.initLedger(s.server, s.machines[0]); err != nil {
		return err
	}
	p := &pauses{stage: s, codes: map[int]int{}}
	trials := 100
	if l.Quick {
		trials = 8
	}
	begin := time.Now()
	inParallel(trials, l.Parallel, func(i int) {
		p.try(s.newKey("pause"), rand.New(rand.NewPCG(l.Seed, uint64(i))))
	})
	s.checkLeft()
	p.checkRecords()

	t := &s.Figures
	t.Count("holders that were frozen", trials)
	var codes []int
	for code := range p.codes {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range codes {
		t.Count(fmt.Sprintf("  that ended with status %d", code), p.codes[code])
	}
	t.Count("overlaps under rerun, which nothing can prevent", p.overlaps)
	t.Measure("longest life of a command after its holder woke, seconds", p.longest.Seconds())
	t.Add("seconds", "%.1f", time.Since(begin).Seconds())
	return s.report(noOverlap, noRepeat, noTwice, noFence, noInvention, noLoss, noDifference, noHaste, noChange, noSurvivor, noOddity, noLeftovers, noHang)
}

// inParallel calls f with 0 to n-1, at most so many at a time.
func inParallel(n, parallel int, f func(i int)) {
	work := make(chan int)
	var group sync.WaitGroup
	for range parallel {
		group.Go(func() {
			for i := range work {
				f(i)
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	group.Wait()
}

// try freezes one holder on the first machine and calls on the second one.
func (p *pauses) try(k *key, rng *rand.Rand) {
	a, b := p.machines[0], p.machines[1]
	flags := append(slices.Clone(shortLease), "--hash", "none")
	c := p.beginRun(a, k, "holder", flags, p.command(k, time.Minute))
	if !c.started() {
		p.trouble.add(noOddity, k.name, "the first call did not start: status %d: %s", c.finish().code, lab.Read(c.file+".err"))
		return
	}
	time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
	thaw := p.freeze(a.host.Load(), c.id)
	frozen := time.Now()

	other := func() reply {
		for {
			r := p.run(b, k, "other", flags, p.command(k, 100*time.Millisecond))
			if r.code != lab.ExitBusy && r.code != lab.ExitLedger {
				return r
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	want := map[bool]int{false: lab.ExitInterrupted, true: 0}[k.rerun]
	if r := other(); r.code != want {
		p.trouble.add(noOddity, k.name, "the other host: status %d, want %d: %s", r.code, want, r.err())
	}
	// The lease was renewed a third of a second ago at most, when everything was frozen; on a busy
	// machine some more.
	if took := time.Since(frozen); took < 1500*time.Millisecond {
		p.trouble.add(noHaste, k.name, "after %v", took)
	}
	time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
	if !k.rerun {
		if r := other(); r.code != want {
			p.trouble.add(noOddity, k.name, "the other host, again: status %d, want %d: %s", r.code, want, r.err())
		}
	}
	thaw()
	woke := time.Now()
	for len(p.processesOf(a.host.Load(), c.id)) > 0 && time.Since(woke) < lab.ExitWithin {
		time.Sleep(10 * time.Millisecond)
	}
	life := time.Since(woke)
	r := c.finish()
	if r.code == 0 {
		p.trouble.add(noSurvivor, k.name, "the frozen call succeeded")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.codes[r.code]++
	p.longest = max(p.longest, life)
}

// checkRecords checks the journals and the records.
func (p *pauses) checkRecords() {
	records := p.records(p.machines[0])
	for _, k := range p.keys {
		events := p.events(k)
		_, faults := check(k.name, k.rerun, events)
		for _, f := range faults {
			switch {
			case f.Promise == noOverlap && k.rerun:
				p.overlaps++
				continue
			case f.Promise == noOddity: // try knows better
				continue
			}
			f.What += p.evidence(f)
			p.trouble.all = append(p.trouble.all, f)
		}
		first, last := "", ""
		for _, e := range events {
			if e.Kind == lab.Started {
				if first == "" {
					first = e.Run
				}
				last = e.Run
			}
			if e.Kind == lab.Ended && e.Run == first {
				p.trouble.add(noSurvivor, k.name, "run %s", first)
			}
		}
		x := records[k.name]
		if k.rerun && (x.Run != last || x.State != "succeeded") || !k.rerun && (x.Run != first || x.State == "succeeded") {
			p.trouble.add(noChange, k.name, "run %s is %s%s", x.Run, x.State, p.evidence(lab.Fault{Key: k.name, At: -1}))
		}
	}
}
