//go:build linux

package shared

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger/postgres/pgtest/proxy"
	"idem/test/chaos/lab"
)

// The promises of the part shared-outages that no other part has.
const (
	noNotice   = "commands that noticed a short outage"
	noLate     = "commands that were alive too long in a long outage"
	noEarly    = "commands that were ended although their lease could be kept"
	noDelivery = "outcomes that were not delivered after a long outage"
	noForgot   = "new keys that ran after a promotion that forgot commits"
	noReplay   = "keys that could not be replayed after a promotion"
	noAck      = "acknowledged keys that a synchronous standby did not have"
	noConfirm  = "ledgers that did not work after they were confirmed"
)

// outage has the times of the outages.
type outage struct {
	flags       []string
	lease       time.Duration
	margin      time.Duration // before the end of the lease, at which a command is dead
	runs        int           // in each outage
	short, long time.Duration
	work        time.Duration // of a command that does not notice
}

// Outages runs the part: a server that is away for a short time and for a long one, and
// promotions of standbys.
func Outages(l *lab.Lab) error {
	s, err := raise(l, []string{"a", "b"})
	if err != nil {
		return err
	}
	defer s.fall()
	if err := s.initLedger(s.server, s.machines[0]); err != nil {
		return err
	}
	// The default lease of 180 s.
	o := outage{lease: 180 * time.Second, margin: 18 * time.Second, runs: 20, short: 100 * time.Second, long: 200 * time.Second, work: 130 * time.Second}
	promotions, acks := 20, 1000
	if l.Quick {
		o = outage{
			flags: []string{"--lease", "12s", "--kill-after", "2s"}, lease: 12 * time.Second, margin: 2 * time.Second,
			runs: 4, short: 4 * time.Second, long: 14 * time.Second, work: 7 * time.Second,
		}
		promotions, acks = 2, 100
	}
	begin := time.Now()
	lived := s.outage(o)
	t := &s.Figures
	t.Count("runs in an outage that the lease covers", o.runs)
	t.Count("runs in an outage that is longer than the lease", o.runs)
	t.Measure("longest life of a command after the start of the outage, seconds", lived.Seconds())
	t.Measure("allowed, seconds", (o.lease - o.margin).Seconds())

	for n := range promotions {
		if err := s.forgetful(n); err != nil {
			return err
		}
	}
	t.Count("promotions that forgot commits", promotions)
	n, err := s.synchronous(promotions, acks)
	if err != nil {
		return err
	}
	t.Count("acknowledged keys with a synchronous standby", n)
	t.Add("seconds", "%.1f", time.Since(begin).Seconds())
	s.checkLeft()
	s.checkJournals()
	return s.report(append([]string{noNotice, noLate, noEarly, noDelivery, noForgot, noReplay, noAck, noConfirm}, promises...)...)
}

// outage makes both outages at once: the server is away for the short time, and the second
// machine cannot reach it for the long time. It returns how long the last command of the
// second machine lived after the start.
func (s *stage) outage(o outage) (lived time.Duration) {
	a, b := s.machines[0], s.machines[1]
	flags := append(slices.Clone(o.flags), "--hash", "none")
	var short, long []*call
	for range o.runs {
		k := s.newKey("short")
		short = append(short, s.beginRun(a, k, "run", flags, s.command(k, o.work)))
		k = s.newKey("long")
		long = append(long, s.beginRun(b, k, "run", flags, s.command(k, o.lease+o.long)))
	}
	for _, c := range slices.Concat(short, long) {
		if !c.started() {
			s.trouble.add(noOddity, c.k.name, "did not start: %s", lab.Read(c.file+".err"))
		}
	}
	s.note("outage")
	cut := time.Now()
	b.proxy.Cut(proxy.Both)
	s.server.stop(unix.SIGQUIT)
	var group sync.WaitGroup
	group.Go(func() { lived = s.watch(b, long, cut, o) })
	time.Sleep(time.Until(cut.Add(o.short)))
	lab.Must(s.server.start())
	s.note("the server is back")
	for _, c := range short {
		if r := c.finish(); r.code != 0 {
			s.trouble.add(noNotice, c.k.name, "status %d: %s", r.code, r.err())
		}
	}
	time.Sleep(time.Until(cut.Add(o.long)))
	group.Wait()
	b.proxy.Heal()
	s.note("the network is back")
	for _, c := range long {
		if r := c.finish(); r.code != lab.ExitUnrecorded {
			s.trouble.add(noOddity, c.k.name, "status %d, want %d: %s", r.code, lab.ExitUnrecorded, r.err())
		}
	}
	s.delivered(b, long)
	return lived
}

// watch waits for the end of the commands of calls on a machine, and checks its time.
func (s *stage) watch(m *machine, calls []*call, cut time.Time, o outage) time.Duration {
	last := time.Time{}
	for {
		alive := 0
		now := time.Now()
		for _, p := range m.host.Load().Scan() {
			if p.Exe == s.Self && slices.ContainsFunc(calls, func(c *call) bool { return c.id == p.Getenv(lab.EnvCall) }) {
				alive++
			}
		}
		if alive == 0 {
			break
		}
		last = now
		if now.Sub(cut) > o.lease+lab.ExitWithin {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	life := last.Sub(cut)
	s.note("the last command was seen after %v", life)
	if limit := o.lease - o.margin + 500*time.Millisecond; life > limit {
		s.trouble.add(noLate, "", "%v after the start of the outage, allowed are %v", life, limit)
	}
	// The last renewal is at most a ninth of the lease old, and some. TERM comes before KILL.
	if least := o.lease/2 - o.margin; life < least {
		s.trouble.add(noEarly, "", "%v after the start of the outage, at least %v were possible", life, least)
	}
	return life
}

// delivered checks that the outcomes reach the ledger when the server is back.
func (s *stage) delivered(m *machine, calls []*call) {
	sync := m.call("", "sync", m.url, "ledger", "sync", m.url)
	if sync.code != 0 {
		s.trouble.add(noDelivery, "", "idem ledger sync: status %d: %s%s", sync.code, sync.out(), sync.err())
	}
	records := s.records(m)
	for _, c := range calls {
		if x := records[c.k.name]; x.State != "failed" {
			s.trouble.add(noDelivery, c.k.name, "the record is %s, not failed", x.State)
		}
	}
}

// checkJournals checks the journals of all keys.
func (s *stage) checkJournals() {
	for _, k := range s.keys {
		_, faults := check(k.name, k.rerun, s.events(k))
		for _, f := range faults {
			f.What += s.evidence(f)
			s.trouble.all = append(s.trouble.all, f)
		}
	}
}
