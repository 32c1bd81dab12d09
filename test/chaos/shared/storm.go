//go:build linux

package shared

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger/postgres/pgtest/proxy"
	"idem/test/chaos/lab"
	"idem/test/chaos/shared/hosts"
)

// hits counts what was done to the hosts.
type hits struct {
	mu sync.Mutex
	n  map[string]int
}

func (h *hits) add(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n[what]++
}

// names of hits, in the order of the table.
var hitNames = []string{
	hitIdem, hitKeeper, hitCommand, hitAll, hitPause, hitPower, hitBoth, hitToServer, hitToClient, hitUnplug, hitReset, hitServer, hitPooler,
}

const (
	hitIdem     = "kills of idem"
	hitKeeper   = "kills of a keeper"
	hitCommand  = "kills of a command"
	hitAll      = "kills of all three at once"
	hitPause    = "pauses of all three, shorter than the margin"
	hitPower    = "power cuts of a host"
	hitBoth     = "cuts in both directions"
	hitToServer = "cuts towards the server"
	hitToClient = "cuts towards the client"
	hitUnplug   = "unplugged wires"
	hitReset    = "connections ended"
	hitServer   = "crashes of the server"
	hitPooler   = "restarts of the pooler"
)

// storm does harm until the context ends. The function that it returns waits until
// everything works again, and returns what was done.
func (r *trial) storm(ctx context.Context) func() *hits {
	h := &hits{n: map[string]int{}}
	pace := 1.0
	if r.Quick {
		pace = 0.4
	}
	var group sync.WaitGroup
	loop := func(stream uint64, least, most float64, act func(*rand.Rand)) {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(r.Seed, 1<<40|stream))
			for {
				sleep(ctx, time.Duration((least+rng.Float64()*(most-least))*pace*float64(time.Second)))
				if ctx.Err() != nil {
					return
				}
				act(rng)
			}
		})
	}
	for i, m := range r.machines {
		loop(uint64(10+i), 0.2, 0.8, func(rng *rand.Rand) { r.killOne(rng, m, h) })
		loop(uint64(20+i), 1, 4, func(rng *rand.Rand) { r.cutOff(ctx, rng, m, h) })
	}
	loop(30, 8, 16, func(rng *rand.Rand) { r.restart(rng, h) })
	return func() *hits {
		group.Wait()
		return h
	}
}

// cutOff disturbs the network of a machine for a while.
func (r *trial) cutOff(ctx context.Context, rng *rand.Rand, m *machine, h *hits) {
	d := time.Duration(rng.Int64N(int64(2 * time.Second)))
	if rng.IntN(4) == 0 {
		d = time.Duration(rng.Int64N(int64(leaseTime * 3 / 2)))
	}
	what := []string{hitBoth, hitToServer, hitToClient, hitUnplug, hitReset, hitPower}[rng.IntN(6)]
	r.note("%s: %s for %v", m.name, what, d)
	h.add(what)
	switch what {
	case hitBoth, hitToServer, hitToClient:
		m.proxy.Cut(map[string]proxy.Direction{hitBoth: proxy.Both, hitToServer: proxy.ToServer, hitToClient: proxy.ToClient}[what])
		sleep(ctx, d)
		if rng.IntN(2) == 0 {
			m.proxy.Reset()
		}
		m.proxy.Heal()
	case hitUnplug:
		lab.Must(r.net.Unplug(m.host.Load(), true))
		sleep(ctx, d)
		lab.Must(r.net.Unplug(m.host.Load(), false))
	case hitReset:
		m.proxy.Reset()
	case hitPower:
		r.powerCut(ctx, m, d)
	}
	r.note("%s: %s is over", m.name, what)
}

// powerCut switches a machine off, and on again after a while.
func (r *trial) powerCut(ctx context.Context, m *machine, d time.Duration) {
	for _, p := range m.host.Load().Scan() {
		r.logKill(powerCut, p.Getenv(lab.EnvCall))
	}
	m.power.Lock() // so that no further call begins
	for _, p := range m.host.Load().Scan() {
		r.logKill(powerCut, p.Getenv(lab.EnvCall))
	}
	m.host.Load().Off()
	sleep(ctx, d)
	lab.Must(m.on())
	m.power.Unlock()
}

// restart restarts the server as after a crash, or the pooler.
func (r *trial) restart(rng *rand.Rand, h *hits) {
	if rng.IntN(3) > 0 {
		r.note("crash of the server")
		h.add(hitServer)
		r.server.stop(unix.SIGQUIT)
		time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
		lab.Must(r.server.start())
	} else {
		r.note("restart of the pooler")
		h.add(hitPooler)
		r.pooler.stop()
		time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
		lab.Must(r.pooler.start())
	}
	r.note("restarted")
}

// logKill logs in the journal of a call's key that the call is about to be hit.
func (r *trial) logKill(kind lab.Kind, call string) {
	name, _, ok := strings.Cut(call, "/")
	if !ok {
		return
	}
	r.mu.Lock()
	i := slices.IndexFunc(r.keys, func(k *key) bool { return k.name == name })
	r.mu.Unlock()
	if i >= 0 {
		r.keys[i].journal.Add(lab.Event{Kind: kind, Call: call})
		r.note("%s %s", kind, call)
	}
}

// kindOf tells idem, its keeper and its command apart.
func (r *trial) kindOf(p hosts.Process) string {
	switch {
	case p.Exe == r.Self && len(p.Args) > 1 && p.Args[1] == "shared-command":
		return hitCommand
	case p.Exe != r.Idem || p.Getenv(lab.EnvCall) == "":
		return ""
	case len(p.Args) > 1 && p.Args[1] == "run":
		return hitIdem
	default:
		return hitKeeper
	}
}

// killOne kills or pauses processes of a random call.
func (r *trial) killOne(rng *rand.Rand, m *machine, h *hits) {
	host := m.host.Load()
	kinds := map[string][]hosts.Process{}
	for _, p := range host.Scan() {
		kind := r.kindOf(p)
		kinds[kind] = append(kinds[kind], p)
	}
	what := []string{hitIdem, hitIdem, hitKeeper, hitCommand, hitAll, hitAll, hitPause}[rng.IntN(7)]
	from := what
	if what == hitAll || what == hitPause {
		from = hitCommand
	}
	if len(kinds[from]) == 0 {
		return
	}
	p := kinds[from][rng.IntN(len(kinds[from]))]
	call := p.Getenv(lab.EnvCall)
	switch what {
	case hitAll:
		r.logKill(killAll, call)
		if killCall(host, call) > 0 {
			h.add(what)
		}
	case hitPause:
		r.note("pause %s", call)
		r.pause(host, call, time.Duration(rng.IntN(1000))*time.Millisecond)
		h.add(what)
	default:
		kind := map[string]lab.Kind{hitIdem: lab.KillIdem, hitKeeper: killKeeper, hitCommand: lab.KillCommand}[what]
		if host.Signal(p, unix.SIGKILL, func() { r.logKill(kind, call) }) {
			h.add(what)
		}
	}
}

// killCall kills all processes of a call, until none is found, because one may have been
// about to start another. It returns how many it has killed.
func killCall(host *hosts.Host, call string) (n int) {
	for found := true; found; {
		found = false
		for _, p := range host.Scan() {
			if p.Getenv(lab.EnvCall) == call && host.Signal(p, unix.SIGKILL, nil) {
				found = true
				n++
			}
		}
	}
	return n
}

// pause stops all processes of a call for a while.
func (r *trial) pause(host *hosts.Host, call string, d time.Duration) {
	var stopped []hosts.Process
	for _, p := range host.Scan() {
		if p.Getenv(lab.EnvCall) == call && host.Signal(p, unix.SIGSTOP, nil) {
			stopped = append(stopped, p)
		}
	}
	time.Sleep(d)
	for _, p := range stopped {
		host.Signal(p, unix.SIGCONT, nil)
	}
}

// checkLeft waits for the last processes of the machines, and reports and kills those that
// remain when all leases must have ended.
func (r *trial) checkLeft() {
	end := time.Now().Add(lab.ExitWithin)
	for _, m := range r.machines {
		host := m.host.Load()
		rest := host.Scan()
		for len(rest) > 0 && time.Now().Before(end) {
			time.Sleep(50 * time.Millisecond)
			rest = host.Scan()
		}
		for _, p := range rest {
			r.trouble.add(noLeftovers, p.Getenv(lab.EnvCall), "on %s: %v", m.name, p)
			host.Signal(p, unix.SIGKILL, nil)
		}
	}
}

// evidence returns the last events of a key's journal.
func (r *trial) evidence(f lab.Fault) string {
	events, _ := lab.ReadJournal(r.journalPath(f.Key))
	var b strings.Builder
	const lines = 30
	last := f.At
	if last < 0 {
		last = len(events) - 1
	}
	for i := max(0, last-lines); i <= last; i++ {
		fmt.Fprintf(&b, "\n  %4d %s", i, events[i])
	}
	fmt.Fprintf(&b, "\n  (times are in %s)", filepath.Join(r.Dir, "events"))
	return b.String()
}
