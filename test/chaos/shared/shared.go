//go:build linux

// Package shared has the parts of chaos about a ledger that several hosts share. The hosts
// are namespaces of this machine, see the package hosts, and the ledger is on a PostgreSQL
// server on a separate host.
//
//	go run ./test/chaos shared            random kills, cuts and restarts
//	go run ./test/chaos shared-pauses     holders that are frozen for longer than their lease
//	go run ./test/chaos shared-commits    lost answers to the commits of a start and of an end
//	go run ./test/chaos shared-outages    a server that is away, and promotions of a standby
//	go run ./test/chaos shared-done       kills under commands that call idem.done
//
// All hosts share the file system, so a lock of the kernel shows it when two commands of a
// key run at once, whatever idem and the server say.
package shared

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"idem/test/chaos/lab"
	"idem/test/chaos/shared/hosts"
)

// shares is the number of answers that a key gets before the next one takes its place.
const shares = 3

// lease has the flags with which commands run. A command is ended 2 s before its lease
// ends, and killed 1 s later.
var lease = []string{"--lease", "7s", "--kill-after", "1s", "--connect-timeout", "3s", "--finish-timeout", "6s"}

const leaseTime = 7 * time.Second

// trial is one run of the part shared.
type trial struct {
	*stage
	slots []slot
}

// slot is a place for keys, of which one is in use at a time.
type slot struct {
	mu  sync.Mutex
	key *key
}

// Run runs the part shared.
func Run(l *lab.Lab) error {
	s, err := raise(l, []string{"a", "b"})
	if err != nil {
		return err
	}
	defer s.fall()
	r := &trial{stage: s}
	duration, parallel, keys := 10*time.Minute, l.Parallel, 40
	if l.Quick {
		keys = 20
		r.scale, duration = 2500*time.Millisecond, 25*time.Second
	}
	if err := s.initLedger(s.server, s.machines[0]); err != nil {
		return err
	}
	s.machines[1].proxy.Retarget(s.pooler.address()) // the other host uses the pooler
	if l.Keys > 0 {
		keys = l.Keys
	}
	r.slots = make([]slot, keys)
	for i := range r.slots {
		r.slots[i].key = r.newKey(fmt.Sprintf("k%02d", i))
	}

	ctx, cancel := context.WithTimeout(context.Background(), duration)
	defer cancel()
	calm := r.storm(ctx)
	var callers sync.WaitGroup
	for _, m := range r.machines {
		for n := range parallel {
			callers.Go(func() { r.callRepeatedly(ctx, m, n) })
		}
	}
	callers.Wait()
	cancel()
	hits := calm()
	r.checkLeft()
	r.decideAll()
	return r.finish(hits, time.Since(r.born))
}

// callRepeatedly is one caller on a machine. It calls random keys of those in use.
func (r *trial) callRepeatedly(ctx context.Context, m *machine, number int) {
	rng := rand.New(rand.NewPCG(r.Seed, uint64(m.name[0])<<16|uint64(number)))
	for ctx.Err() == nil {
		i := rng.IntN(len(r.slots))
		if rng.IntN(2) == 0 {
			i %= 4 // many callers at once
		}
		r.slots[i].mu.Lock()
		k := r.slots[i].key
		r.slots[i].mu.Unlock()
		var flags []string
		switch d := rng.IntN(10); {
		case d < 4:
			flags = []string{"--wait=10s"}
		case d < 6:
			flags = []string{"--wait=" + (time.Duration(100+rng.IntN(2000)) * time.Millisecond).String()}
		}
		c := r.run(m, k, fmt.Sprint(number), slices.Concat(lease, flags), r.command(k))
		switch c.code {
		case 0:
			r.mu.Lock()
			k.acks++
			full := k.acks == shares
			r.mu.Unlock()
			if full {
				next := r.newKey(fmt.Sprintf("k%02d", i))
				r.slots[i].mu.Lock()
				r.slots[i].key = next
				r.slots[i].mu.Unlock()
			}
		case lab.ExitInterrupted:
			r.operate(rng, m, k)
		case lab.ExitLedger:
			sleep(ctx, time.Duration(200+rng.IntN(500))*time.Millisecond)
		default:
			sleep(ctx, time.Duration(20+rng.IntN(150))*time.Millisecond)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// operate settles a key that idem refuses to decide, as a person would who has looked.
func (r *trial) operate(rng *rand.Rand, m *machine, k *key) {
	k.operate.Lock()
	defer k.operate.Unlock()
	mark, kind := "retry", lab.MarkRetry
	if rng.IntN(6) == 0 {
		mark, kind = "done", lab.MarkDone
	}
	k.journal.Add(lab.Event{Kind: kind, Call: k.name + "/op." + m.name})
	c := m.call("", k.name+".op", m.url, "mark", mark, k.name, "--note", "chaos")
	k.journal.Add(lab.Event{Kind: lab.Marked, Call: k.name + "/op." + m.name, Code: c.code})
	r.note("mark %s %s: %d %s", k.name, mark, c.code, strings.TrimSpace(c.err()))
	switch c.code {
	case 0, lab.ExitUsage, lab.ExitLedger, lab.ExitBusy, -lab.SigKill, hosts.Dead: // usage: it has succeeded since
	default:
		r.trouble.add(noOddity, k.name, "idem mark %s: status %d: %s", mark, c.code, c.err())
	}
}
