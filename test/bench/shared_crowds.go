package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"idem/ledger/postgres/pgtest"
	"idem/test/internal/rig"
)

// measureStorm starts many calls at once, for a server that has room for few of them.
func (s *shared) measureStorm() {
	n := 300
	if s.quick {
		n = 60
	}
	s.progress("%s: %d at once", sharedWork, n)
	server := pgtest.Start(s, pgtest.Options{MaxConnections: 50})
	place := s.ledger(server, via(server.Addr()))
	env := s.environ(place)
	s.must(s.warm(env))
	for _, t := range []struct{ op, prefix string }{{"first runs", "storm-"}, {"replays", "storm-"}} {
		c, err := rig.Together([]string{s.self, "gate"}, filepath.Join(s.dir, "storm of "+t.op), n, env, func(i int) []string {
			return []string{s.idem, "run", "--key", t.prefix + strconv.Itoa(i), "--", s.noop}
		})
		s.must(err)
		s.demand(count(fmt.Sprintf("shared: errors of %d %s at once, max_connections=50", n, t.op), 0, whole(float64(failures(c))), 1, ""))
		s.progress("%s: %d %s at once took %v", sharedWork, n, t.op, c.Took.Round(time.Millisecond))
	}
}

func failures(c *rig.Crowd) (n int) {
	for _, me := range c.Callers {
		if me.Code != 0 {
			if n++; n == 1 {
				b, _ := os.ReadFile(me.Stderr)
				fmt.Fprintf(os.Stderr, "bench: %d: %s", me.Code, b)
			}
		}
	}
	return n
}

// warm makes this host learn which ledger is at the URL.
func (s *shared) warm(env []string) error {
	return runUnmeasured(call{argv: []string{s.idem, "run", "--key", "warm", "--", s.noop}, dir: s.dir, env: env})
}

// measureWaiters counts the connections of many callers that wait for one key.
func (s *shared) measureWaiters() {
	n, patience := 500, 20*time.Second
	if s.quick {
		n, patience = 50, 8*time.Second
	}
	s.progress("%s: %d waiters", sharedWork, n)
	server := pgtest.Start(s, pgtest.Options{MaxConnections: 100})
	env := s.environ(s.ledger(server, via(server.Addr())))
	s.must(s.warm(env))
	gate := filepath.Join(s.dir, "open")
	most, looked := 0, make(chan struct{})
	go func() {
		defer close(looked)
		time.Sleep(patience) // each has read the record, and has closed its connection after two seconds
		for range 200 {
			text, err := server.Try(pgtest.Superuser, "select count(*) from pg_stat_activity where usename = '"+pgtest.CI+"'")
			if now, fault := strconv.Atoi(text); err == nil && fault == nil {
				most = max(most, now)
			}
			time.Sleep(50 * time.Millisecond)
		}
		_ = os.WriteFile(gate, nil, 0o600)
	}()
	c, err := rig.Together([]string{s.self, "gate"}, filepath.Join(s.dir, "waiters"), n+1, env, func(int) []string {
		return []string{s.idem, "run", "--key", "one", "--wait", "--", "/bin/sh", "-c", `until [ -e "$0" ]; do sleep 0.2; done`, gate}
	})
	s.must(err)
	<-looked
	s.demand(count(fmt.Sprintf("shared: connections while %d callers wait for one key", n), 3, whole(float64(most)), 1, ""))
	s.demand(count(fmt.Sprintf("shared: errors of %d callers that waited for one key", n), 0, whole(float64(failures(c))), 1, ""))
}
