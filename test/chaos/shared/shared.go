//go:build linux

// Package shared has the parts of chaos about a ledger that several hosts share. The hosts
// are namespaces of this machine, see the package hosts, and the ledger is on a PostgreSQL
// server on a host of its own.
//
//	go run ./test/chaos shared            random kills, cuts and restarts
//	go run ./test/chaos shared-pauses     holders that are frozen for longer than their lease
//	go run ./test/chaos shared-commits    lost answers to the commits of a start and of an end
//	go run ./test/chaos shared-outages    a server that is away, and promotions of a standby
//	go run ./test/chaos shared-done       kills under commands that call idem.done
//
// All hosts share the file system, so a lock of the kernel tells whether two commands of a
// key run at once, whatever idem and the server believe.
package shared

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"idem/test/chaos/lab"
)

const (
	slots  = 40 // keys that are in use at a time
	shares = 3  // answers that a key gets before the next one takes its place
)

// lease has the flags with which commands run. A command is ended 2 s before its lease
// ends, and killed 1 s later.
var lease = []string{"--lease", "7s", "--kill-after", "1s", "--connect-timeout", "3s", "--finish-timeout", "6s"}

const leaseTime = 7 * time.Second

// trial is one run of the part shared.
type trial struct {
	*stage
	scale time.Duration // of the work of commands
	slots [slots]slot
	log   *lab.Journal // all events with their times, to read after a fault

	mu    sync.Mutex
	keys  []*key
	begin time.Time
}

// slot is a place for keys, of which one is in use at a time.
type slot struct {
	mu  sync.Mutex
	key *key
}

// key is a key with its journal.
type key struct {
	name    string
	rerun   bool // --on-interrupted rerun, else refuse
	journal *lab.Journal
	operate sync.Mutex // held by the operator
	acks    int        // by trial.mu
	calls   int        // by trial.mu
}

// Run runs the part shared.
func Run(l *lab.Lab) error {
	s, err := raise(l, []string{"a", "b"})
	if err != nil {
		return err
	}
	defer s.fall()
	r := &trial{stage: s, scale: 5 * time.Second}
	duration, parallel := 10*time.Minute, l.Parallel
	if l.Quick {
		r.scale, duration = 2500*time.Millisecond, 25*time.Second
	}
	if r.log, err = lab.OpenJournal(filepath.Join(l.Dir, "events")); err != nil {
		return err
	}
	if err := s.initLedger(s.machines[0]); err != nil {
		return err
	}
	s.machines[1].proxy.Retarget(s.pooler.address()) // the other host uses the pooler
	r.begin = time.Now()
	for i := range r.slots {
		r.slots[i].key = r.newKey(i)
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
	return r.finish(hits, time.Since(r.begin))
}

func (r *trial) newKey(slot int) *key {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.keys)
	k := &key{name: fmt.Sprintf("k%02d.%d", slot, n), rerun: n%2 == 1}
	var err error
	k.journal, err = lab.OpenJournal(r.journalPath(k.name))
	lab.Must(err)
	r.keys = append(r.keys, k)
	return k
}

func (r *trial) journalPath(key string) string {
	return filepath.Join(r.Dir, "keys", key+".journal")
}

// command returns the arguments of idem after the flags.
func (r *trial) command(k *key) []string {
	return []string{"--", r.Self, "shared-command", r.journalPath(k.name), r.journalPath(k.name) + ".lock", r.scale.String()}
}

// callRepeatedly is one caller on a machine. It calls random keys of those in use.
func (r *trial) callRepeatedly(ctx context.Context, m *machine, number int) {
	rng := rand.New(rand.NewPCG(r.Seed, uint64(m.name[0])<<16|uint64(number)))
	for ctx.Err() == nil {
		i := rng.IntN(slots)
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
		c := r.run(m, k, number, flags)
		switch c.code {
		case 0:
			r.mu.Lock()
			k.acks++
			full := k.acks == shares
			r.mu.Unlock()
			if full {
				next := r.newKey(i)
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

// run makes one call for a key, and logs it in the key's journal.
func (r *trial) run(m *machine, k *key, number int, flags []string) reply {
	r.mu.Lock()
	k.calls++
	id := fmt.Sprintf("%s/%s.%d.%d", k.name, m.name, number, k.calls)
	r.mu.Unlock()
	args := append([]string{"run", "--key", k.name}, lease...)
	args = append(args, flags...)
	if k.rerun {
		args = append(args, "--on-interrupted", "rerun")
	}
	k.journal.Add(lab.Event{Kind: lab.Called, Call: id})
	r.note("call %s", id)
	c := m.call(id, strings.ReplaceAll(id, "/", ":"), m.url, append(args, r.command(k)...)...)
	run := ""
	if c.code == 0 {
		run = runOf(c)
	}
	k.journal.Add(lab.Event{Kind: lab.Returned, Call: id, Run: run, Code: c.code})
	r.note("return %s %d %s", id, c.code, strings.ReplaceAll(strings.TrimSpace(c.err()), "\n", " | "))
	if c.code == 0 || c.code == lab.ExitBusy {
		_ = os.Remove(c.file + ".out")
		_ = os.Remove(c.file + ".err")
	}
	return c
}

// runOf returns the run whose output a call printed, "" for no output, or "garbage" if the
// output is not that of a whole run.
func runOf(c reply) string {
	out := c.out()
	if out == "" {
		return ""
	}
	line, rest, _ := strings.Cut(out, "\n")
	run, ok := strings.CutPrefix(line, "run ")
	if !ok || strings.ContainsAny(run, " ;") || rest != string(lab.CommandOutput(run, workOf(run, time.Second).output)) {
		return "garbage"
	}
	return run
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
	case 0, lab.ExitUsage, lab.ExitLedger, lab.ExitBusy, hangOrDead: // usage: it has succeeded since
	default:
		r.trouble.add(noOddity, k.name, "idem mark %s: status %d: %s", mark, c.code, c.err())
	}
}

// hangOrDead is the code of a call whose host was switched off.
const hangOrDead = -lab.SigKill

func (r *trial) note(format string, args ...any) {
	_, err := fmt.Fprintf(r.log.F, "%8.3f "+format+"\n", append([]any{time.Since(r.begin).Seconds()}, args...)...)
	lab.Must(err)
}
