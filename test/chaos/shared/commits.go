//go:build linux

package shared

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger/postgres/pgtest/proxy"
	"idem/test/chaos/lab"
)

// The promises of the part shared-commits that no other part has.
const (
	noDouble = "commands that were started twice"
	noMiss   = "commits whose answer was not held back"
)

// commit is one of the statements whose answer is lost.
type commit struct {
	name string
	has  [][]byte // texts of the statement, and of no other
}

// The texts are those of ledger/postgres. Without a match, the part fails.
var (
	commitOfBegin  = commit{"Begin", [][]byte{[]byte("nextval"), []byte("run_id = q.run_id, state = 'running'")}}
	commitOfFinish = commit{"Finish", [][]byte{[]byte("output_bytes = o.output_bytes")}}
)

// ways are what becomes of a lost answer.
var ways = []string{
	"the connection is reset",
	"the answer comes late",
	"the server is out of reach for a while",
	"idem is killed",
	"the server crashes",
}

// commits is one run of the part.
type commits struct {
	*stage
	mu     sync.Mutex
	counts map[string]int
	server sync.RWMutex // held for writing by a crash of the server
}

// Commits runs the part: the answers to the commits of Begin and Finish do not arrive.
func Commits(l *lab.Lab) error {
	s, err := raise(l, []string{"a", "b"})
	if err != nil {
		return err
	}
	defer s.fall()
	if err := s.initLedger(s.server, s.machines[0]); err != nil {
		return err
	}
	c := &commits{stage: s, counts: map[string]int{}}
	trials, lines := 500, 4
	if l.Quick {
		trials = 15
	}
	begin := time.Now()
	free := make(chan *machine, lines) // each with its own proxy
	for range lines {
		m, err := s.machines[0].line(s.server)
		if err != nil {
			return err
		}
		free <- m
	}
	for _, what := range []commit{commitOfBegin, commitOfFinish} {
		inParallel(trials, lines, func(i int) {
			m := <-free
			defer func() { free <- m }()
			c.try(m, what, i%len(ways), rand.New(rand.NewPCG(l.Seed, uint64(i))))
		})
	}
	s.checkLeft()
	t := &s.Figures
	for _, what := range []commit{commitOfBegin, commitOfFinish} {
		t.Count("lost answers to "+what.name, trials)
		for _, way := range ways {
			t.Count("  "+what.name+": "+way, c.counts[what.name+": "+way])
		}
	}
	t.Count("calls that could not know the outcome", c.counts["unknown"])
	t.Add("seconds", "%.1f", time.Since(begin).Seconds())
	c.checkRecords()
	return s.report(noOverlap, noDouble, noRepeat, noTwice, noFence, noInvention, noLoss, noDifference, noMiss, noOddity, noStanding, noLeftovers, noHang)
}

// line returns the same machine with another proxy, to a server.
func (m *machine) line(s *server) (*machine, error) {
	n := &machine{name: m.name, stage: m.stage, state: m.state}
	n.host.Store(m.host.Load())
	return n, n.connect(s.address())
}

// try loses one answer in one way.
func (c *commits) try(m *machine, what commit, way int, rng *rand.Rand) {
	k := c.newKey("commit")
	hold := func(kind byte, body []byte) bool {
		return kind == 'P' && !slices.ContainsFunc(what.has, func(text []byte) bool { return !bytes.Contains(body, text) })
	}
	crash := ways[way] == "the server crashes"
	if crash { // a crash disturbs all other trials, so it waits for them
		c.server.Lock()
		defer c.server.Unlock()
	} else {
		c.server.RLock()
		defer c.server.RUnlock()
	}
	defer m.proxy.Heal()
	held := m.proxy.Hold(proxy.ToClient, hold)
	flags := append(slices.Clone(lease), "--hash", "none")
	w := c.beginRun(m, k, "first", flags, c.command(k, time.Duration(rng.IntN(60))*time.Millisecond))
	select {
	case <-held:
	case <-w.Done():
		c.trouble.add(noMiss, k.name, "%s: status %d: %s", what.name, w.finish().code, lab.Read(w.file+".err"))
		return
	}
	time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond) // the commit may be in progress, or made
	switch ways[way] {
	case "the connection is reset":
		m.proxy.Reset()
	case "the answer comes late":
		time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
	case "the server is out of reach for a while":
		m.proxy.Cut(proxy.Both)
		m.proxy.Reset()
		time.Sleep(time.Duration(rng.IntN(7000)) * time.Millisecond)
	case "idem is killed":
		c.logKill(killAll, w.id)
		w.Signal(unix.SIGKILL, false)
		m.proxy.Reset()
	case "the server crashes":
		c.stage.server.stop(unix.SIGQUIT)
		lab.Must(c.stage.server.start())
	}
	m.proxy.Heal()
	first := w.finish()
	c.mu.Lock()
	c.counts[what.name+": "+ways[way]]++
	if first.code != 0 {
		c.counts["unknown"]++
	}
	c.mu.Unlock()

	allowed := []int{0, lab.ExitLedger}
	if crash { // it may have forgotten the claim, which is not durable
		allowed = append(allowed, lab.ExitBusy)
	}
	if what.name == commitOfFinish.name {
		allowed = []int{0, lab.ExitUnrecorded}
	}
	if ways[way] == "idem is killed" {
		allowed = []int{-lab.SigKill}
	}
	if !slices.Contains(allowed, first.code) {
		c.trouble.add(noOddity, k.name, "%s, %s: status %d: %s", what.name, ways[way], first.code, first.err())
	}
	c.settle(m, k)
	c.judge(k, what, way, first)
}

// settle calls for the key, first on the same machine, until it is decided.
func (c *commits) settle(m *machine, k *key) {
	flags := append(slices.Clone(lease), "--wait=20s")
	command := c.command(k, 10*time.Millisecond)
	for _, m := range []*machine{m, c.machines[1]} {
		for range 3 {
			r := c.run(m, k, "then", append(flags, "--hash", "none"), command)
			if r.code == 0 {
				break
			}
			if r.code != lab.ExitInterrupted {
				c.trouble.add(noStanding, k.name, "on %s: status %d: %s%s", m.name, r.code, r.err(), c.evidence(lab.Fault{Key: k.name, At: -1}))
				break
			}
			k.journal.Add(lab.Event{Kind: lab.MarkRetry, Call: k.name + "/op"})
			r = m.call("", k.name+".op", m.url, "mark", "retry", k.name)
			k.journal.Add(lab.Event{Kind: lab.Marked, Call: k.name + "/op", Code: r.code})
		}
	}
}

// judge checks how often the command was started. Without a kill, once. A second start
// requires that the first call said it does not know, or was killed.
func (c *commits) judge(k *key, what commit, way int, first reply) {
	events := c.events(k)
	starts, marks := count(events, lab.Started), count(events, lab.Marked)
	most := 1
	if ways[way] == "idem is killed" && (k.rerun || marks > 0) {
		most = 2
	}
	if starts > most {
		c.trouble.add(noDouble, k.name, "%s, %s: %d starts, the first call ended with %d: %s%s", what.name, ways[way], starts, first.code,
			first.err(), c.evidence(lab.Fault{Key: k.name, At: -1}))
	}
	if starts == 0 {
		c.trouble.add(noLoss, k.name, "%s, %s: no start%s", what.name, ways[way], c.evidence(lab.Fault{Key: k.name, At: -1}))
	}
}

// checkRecords checks the journals, and compares them with the records.
func (c *commits) checkRecords() {
	records := c.records(c.machines[0])
	for _, k := range c.keys {
		events := c.events(k)
		_, faults := check(k.name, k.rerun, events)
		for _, f := range faults {
			if f.Promise != noOddity { // try knows better
				f.What += c.evidence(f)
				c.trouble.all = append(c.trouble.all, f)
			}
		}
		if x := records[k.name]; count(events, lab.Returned) > 0 && x.State != "succeeded" {
			c.trouble.add(noLoss, k.name, "the ledger says %q%s", x.State, fmt.Sprint(c.evidence(lab.Fault{Key: k.name, At: -1})))
		}
	}
}
