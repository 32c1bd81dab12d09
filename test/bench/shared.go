package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"idem/ledger/postgres"
	"idem/ledger/postgres/pgtest"
	"idem/test/internal/rig"
)

// sharedWork is the name of the measurements of a shared ledger for --work.
const sharedWork = "shared"

// The rows of the race of shared ledgers. All programs are the released ones.
const (
	localRow  = "idem, a local ledger"
	pooledRow = "idem, through PgBouncer"
	socketRow = "idem, a unix socket"
	tcpRow    = "idem, TCP"
	tlsRow    = "idem, TLS verify-full and SCRAM"
)

// shared measures a ledger on PostgreSQL. It starts the servers.
type shared struct {
	*bench
	kit
	dir     string // for the programs and the files of idem
	idem    string // with idem-postgres next to it
	server  *pgtest.Server
	demands []demand
}

// kit is the pgtest.T of a program. A failure ends measureShared.
type kit struct{ cleanups []func() }

// ended is the panic by which a kit ends the caller.
type ended struct{ err error }

func (k *kit) Helper()                   {}
func (k *kit) Cleanup(f func())          { k.cleanups = append(k.cleanups, f) }
func (k *kit) Failed() bool              { return false }
func (k *kit) Logf(f string, a ...any)   { fmt.Fprintf(os.Stderr, "bench: "+f+"\n", a...) }
func (k *kit) Fatal(a ...any)            { panic(ended{errors.New(fmt.Sprint(a...))}) }
func (k *kit) Fatalf(f string, a ...any) { panic(ended{fmt.Errorf(f, a...)}) }
func (k *kit) Skipf(f string, a ...any)  { k.Fatalf(f, a...) }

// must ends the measurement after an error.
func (k *kit) must(err error) {
	if err != nil {
		k.Fatal(err)
	}
}

func (k *kit) end() {
	for i := len(k.cleanups) - 1; i >= 0; i-- {
		k.cleanups[i]()
	}
}

// measureShared makes all measurements of a shared ledger.
func (b *bench) measureShared() (err error) {
	s := &shared{bench: b, dir: filepath.Join(b.dir, sharedWork)}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case ended:
			err = e.err
		default:
			panic(e)
		}
	}()
	defer s.end()
	s.build()
	s.server = pgtest.Start(s, pgtest.Options{TCP: true, MaxConnections: 100})
	s.race()
	s.countTrips()
	s.measureRates()
	s.measureStorm()
	s.measureWaiters()
	b.sharedDemands = s.demands
	return nil
}

// build builds both programs as README.md says.
func (s *shared) build() {
	s.must(os.Mkdir(s.dir, 0o700))
	var flags []string
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		flags = []string{"-ldflags=-E=idem_start"}
	}
	var err error
	s.idem, err = rig.Build(".", filepath.Join(s.dir, "idem"), flags...)
	s.must(err)
	_, err = rig.Build(".", filepath.Join(s.dir, "idem-postgres"), append(flags, "-tags=postgres")...)
	s.must(err)
}

// access returns the URL of a role and a schema.
type access func(user, schema string) string

// via returns the access to a server through an address.
func via(addr net.Addr, more ...string) access {
	return func(user, schema string) string { return pgtest.URL(addr, user, pgtest.Database, schema, more...) }
}

// ledger makes a new ledger in a server and returns its URL through an access.
func (s *shared) ledger(server *pgtest.Server, through access) string {
	schema := server.NewSchema(s)
	_, err := postgres.Init(context.Background(), server.URL(pgtest.Owner, pgtest.Database, schema), postgres.InitOptions{Grant: []string{pgtest.CI}})
	s.must(err)
	return through(pgtest.CI, schema)
}

// environ returns the environment of a call with a ledger.
func (s *shared) environ(place string, more ...string) []string {
	env := append(s.env[:len(s.env):len(s.env)], "IDEM_LEDGER="+place, "XDG_STATE_HOME="+filepath.Join(s.dir, "state"))
	return append(env, more...)
}

// race compares hits and first runs with those of a local ledger, in the same rounds.
func (s *shared) race() {
	pooler := s.server.Pooler(s, pgtest.PoolerOptions{TCP: true})
	secure := pgtest.Start(s, pgtest.Options{TLS: true})
	secret := "PGPASSFILE=" + pgtest.PassFile(s)
	w := work{name: sharedWork, rounds: 200}
	if s.quick {
		w.rounds = 12
	}
	s.progress("%s, %d rounds", w.name, w.rounds)
	var racers []*racer
	for _, r := range []struct {
		name  string
		place string
		env   []string
	}{
		{localRow, filepath.Join(s.dir, "ledger"), nil},
		{pooledRow, s.ledger(s.server, via(pooler.TCPAddr())), nil},
		{socketRow, s.ledger(s.server, via(s.server.Addr())), nil},
		{tcpRow, s.ledger(s.server, via(s.server.TCPAddr())), nil},
		{tlsRow, s.ledger(secure, func(user, schema string) string { return secure.TCPURL(user, pgtest.Database, schema) }), []string{secret}},
	} {
		j := s.job(r.name, w, r.place)
		j.program, j.env = s.idem, s.environ(r.place, r.env...)
		_, err := s.meter.run(j.first(j, 0), nil)
		s.must(err)
		for _, op := range []string{replay, first} {
			racers = append(racers, &racer{job: j, op: op, every: 1, samples: make([]sample, w.rounds)})
		}
	}
	h, err := s.raceOf(w, racers, race{Work: w.name, First: localRow, Again: localRow}, localRow)
	s.must(err)
	s.results[w.name] = h
	for _, r := range racers {
		f := figureOf(r.samples, h.keep)
		f.Work, f.Op, f.Ratio = sharedWork+", "+r.op, r.op, ratio(r.samples, h.samples(localRow, r.op), h.keep)
		s.addBatch(r.contender, f)
	}
	for _, d := range []struct {
		name string
		most float64
	}{{pooledRow, 1.2}, {socketRow, 2.4}, {tcpRow, 2.4}, {tlsRow, 3.2}} {
		s.demand(atMost("shared: replay of true, "+d.name+" / local", d.most, s.ratio(w.name, d.name, replay, localRow, replay)))
	}
}

func (s *shared) demand(d demand) { s.demands = append(s.demands, d) }

// countTrips counts the round trips of calls, which a proxy sees.
func (s *shared) countTrips() {
	p := pgtest.Proxy(s, s.server.TCPAddr())
	place := s.ledger(s.server, via(p.Addr(), "sslmode=disable"))
	j := s.job("round trips", work{}, place)
	j.program, j.env = s.idem, s.environ(place)
	s.must(runUnmeasured(j.first(j, 0))) // this host learns which ledger it is
	trips := func(c call) float64 {
		before := p.Counts()
		s.must(runUnmeasured(c))
		after := p.Counts()
		return float64(after.Syncs - before.Syncs + after.Queries - before.Queries)
	}
	s.demand(exactly("shared: round trips of a replay", 1, trips(j.again(j))))
	s.demand(exactly("shared: round trips of a first run", 4, trips(j.first(j, 1))))
	fails := j.alone("run", "--key", "fails", "--", "/bin/sh", "-c", "exit 3")
	fails = call{argv: append([]string{"/bin/sh", "-c", `"$@"; [ $? = 3 ]`, "sh"}, fails.argv...), dir: fails.dir, env: fails.env}
	s.demand(exactly("shared: round trips of a failed run", 4, trips(fails)))
}

func exactly(what string, want, figure float64) demand {
	return demand{What: what, Most: want, Least: want, Figure: figure}.judge(math.Abs(figure-want) < 0.5)
}
