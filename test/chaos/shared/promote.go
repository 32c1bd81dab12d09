//go:build linux

package shared

import (
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger/postgres/pgtest/proxy"
	"idem/test/chaos/lab"
)

// pair is a server with a ledger and a standby that follows it.
type pair struct {
	*stage
	primary, standby *server
	link             *proxy.Proxy // from the standby to the server
	a, b             *machine
}

// newPair makes a pair. conf is more configuration of the server.
func (s *stage) newPair(n int, conf ...string) (*pair, error) {
	log := func(what string) string { return filepath.Join(s.Dir, fmt.Sprintf("%s%d.log", what, n)) }
	p := &pair{stage: s}
	var err error
	if p.primary, err = newServer(s.tools, s.db, fmt.Sprintf("primary%d", n), log("primary"), conf...); err != nil {
		return nil, err
	}
	if err := s.net.Inside(func() (err error) {
		p.link, err = proxy.Listen("tcp4", "127.0.0.1:0", p.primary.address())
		return err
	}); err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(p.link.Addr().String())
	lab.Must(err)
	if p.standby, err = p.primary.standby(fmt.Sprintf("standby%d", n), log("standby"),
		"primary_conninfo=host=127.0.0.1 port="+port+" user=postgres application_name=standby"); err != nil {
		return nil, err
	}
	if p.a, err = s.machines[0].line(p.primary); err != nil {
		return nil, err
	}
	if p.b, err = s.machines[1].line(p.primary); err != nil {
		return nil, err
	}
	return p, s.initLedger(p.primary, p.a)
}

// follow waits until the standby has everything that the server has.
func (p *pair) follow() error {
	lsn, err := p.primary.sql("select pg_current_wal_insert_lsn()")
	for end := time.Now().Add(lab.Patience); err == nil; time.Sleep(20 * time.Millisecond) {
		var there string
		if there, err = p.standby.sql("select coalesce(pg_last_wal_replay_lsn() >= '" + lsn + "', false)"); err == nil && there == "t" {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the standby does not follow: %s", tail(p.standby.log))
		}
	}
	return err
}

// failOver crashes the server and promotes the standby. Both machines then use that.
func (p *pair) failOver() error {
	p.primary.stop(unix.SIGQUIT)
	_ = p.link.Close()
	if err := p.standby.promote(); err != nil {
		return err
	}
	for _, m := range []*machine{p.a, p.b} {
		m.proxy.Retarget(p.standby.address())
		m.proxy.Reset()
	}
	return nil
}

func (p *pair) end() {
	for _, m := range []*machine{p.a, p.b} {
		_ = m.proxy.Close() // nothing uses it any more
	}
	p.primary.remove()
	p.standby.remove()
}

// forgetful promotes a standby that lacks an acknowledged success and a running attempt.
func (s *stage) forgetful(n int) error {
	p, err := s.newPair(n)
	if err != nil {
		return err
	}
	defer p.end()
	once := func(m *machine, k *key) reply { return s.run(m, k, "run", lease, s.command(k, 0)) }
	must := func(m *machine, k *key, promise, when string) {
		if c := once(m, k); c.code != 0 {
			s.trouble.add(promise, k.name, "%s: status %d: %s", when, c.code, c.err())
		}
	}
	var survivors []*key
	for i := range 3 {
		k := s.newKey("survivor")
		must([]*machine{p.a, p.b}[i%2], k, noOddity, "before")
		survivors = append(survivors, k)
	}
	if err := p.follow(); err != nil {
		return err
	}
	p.link.Cut(proxy.Both)
	forgotten, running := s.newKey("forgotten"), s.newKey("running")
	must(p.a, forgotten, noOddity, "before")
	holder := s.beginRun(p.b, running, "holder", lease, s.command(running, time.Minute))
	if !holder.started() {
		s.trouble.add(noOddity, running.name, "did not start: %s", lab.Read(holder.file+".err"))
	}
	if err := p.failOver(); err != nil {
		return err
	}
	fresh := s.newKey("fresh")
	for _, k := range []*key{forgotten, fresh} {
		before := count(s.events(k), lab.Started)
		for _, m := range []*machine{p.a, p.b} {
			if c := once(m, k); c.code != lab.ExitLedger {
				s.trouble.add(noForgot, k.name, "on %s: status %d, want %d: %s", m.name, c.code, lab.ExitLedger, c.err())
			}
		}
		if now := count(s.events(k), lab.Started); now != before {
			s.trouble.add(noForgot, k.name, "%d starts, before %d%s", now, before, s.evidence(lab.Fault{Key: k.name, At: -1}))
		}
	}
	for _, k := range survivors {
		must(p.a, k, noReplay, "after")
		must(p.b, k, noReplay, "after")
	}
	if c := holder.finish(); c.code != lab.ExitUnrecorded {
		s.trouble.add(noForgot, running.name, "the holder whose attempt was forgotten: status %d, want %d: %s", c.code, lab.ExitUnrecorded, c.err())
	}
	owner := ownerOf(p.a.url)
	if c := p.a.call("", "confirm", owner, "ledger", "confirm", owner); c.code != 0 {
		s.trouble.add(noConfirm, "", "idem ledger confirm: status %d: %s%s", c.code, c.out(), c.err())
	}
	must(p.a, fresh, noConfirm, "confirmed")
	must(p.b, fresh, noConfirm, "confirmed")
	return nil
}

// synchronous promotes a standby that the server waits for, while keys run, once so many are
// acknowledged. It returns the number of acknowledged keys.
func (s *stage) synchronous(n, acks int) (int, error) {
	p, err := s.newPair(n, "synchronous_standby_names=*")
	if err != nil {
		return 0, err
	}
	defer p.end()
	var mu sync.Mutex
	var acknowledged []*key
	var over atomic.Bool
	var callers sync.WaitGroup
	enough := make(chan struct{})
	for i := range 8 {
		callers.Go(func() {
			m := []*machine{p.a, p.b}[i%2]
			for !over.Load() {
				k := s.newKey("sync")
				c := s.run(m, k, "run", lease, s.command(k, 0))
				if c.code != 0 {
					continue
				}
				mu.Lock()
				if acknowledged = append(acknowledged, k); len(acknowledged) == acks {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(lab.Patience):
		s.trouble.add(noOddity, "", "there are only %d acknowledged keys", len(acknowledged))
	}
	err = p.failOver()
	over.Store(true)
	callers.Wait()
	if err != nil {
		return 0, err
	}
	records := s.records(p.a)
	for _, k := range acknowledged {
		if x := records[k.name]; x.State != "succeeded" {
			s.trouble.add(noAck, k.name, "the record is %q%s", x.State, s.evidence(lab.Fault{Key: k.name, At: -1}))
		}
	}
	k := s.newKey("fresh")
	if c := s.run(p.b, k, "run", lease, s.command(k, 0)); c.code != 0 {
		s.trouble.add(noConfirm, k.name, "a promotion with synchronous replication needs no confirmation: status %d: %s", c.code, c.err())
	}
	return len(acknowledged), nil
}
