//go:build linux

package shared

import (
	"context"
	"math/rand/v2"
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
		loop(uint64(10+i), 0.6, 2.4, func(rng *rand.Rand) { r.killOne(rng, m, h) })
		loop(uint64(20+i), 1/pace, 4/pace, func(rng *rand.Rand) { r.cutOff(ctx, rng, m, h) })
	}
	loop(30, 8, 16, func(rng *rand.Rand) { r.restart(rng, h) })
	return func() *hits {
		group.Wait()
		return h
	}
}

// cutOff disturbs the network of a machine for a while.
func (r *trial) cutOff(ctx context.Context, rng *rand.Rand, m *machine, h *hits) {
	d := time.Duration(rng.Int64N(int64(1500 * time.Millisecond)))
	if rng.IntN(6) == 0 {
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

// kindOf tells idem, its keeper and its command apart.
func (r *stage) kindOf(p hosts.Process) string {
	switch {
	case len(p.Args) < 2:
		return ""
	case p.Exe == r.Self && slices.Contains([]string{"shared-command", "shared-worker", "shared-effect"}, p.Args[1]):
		return hitCommand
	case p.Exe == r.Idem && slices.ContainsFunc(p.Args, func(arg string) bool { return strings.Contains(arg, "keeper") }):
		return hitKeeper
	case p.Exe == r.Idem && p.Args[1] == "run" && p.Getenv(lab.EnvCall) != "":
		return hitIdem
	}
	return ""
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
		if r.killCall(host, call) > 0 {
			h.add(what)
		}
	case hitPause:
		r.note("pause %s", call)
		thaw := r.freeze(host, call)
		time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
		thaw()
		h.add(what)
	default:
		kind := map[string]lab.Kind{hitIdem: lab.KillIdem, hitKeeper: killKeeper, hitCommand: lab.KillCommand}[what]
		if host.Signal(p, unix.SIGKILL, func() { r.logKill(kind, call) }) {
			h.add(what)
		}
	}
}
