// Package postgres is the ledger that several hosts share. It stores everything in a
// PostgreSQL database, and the locks and unfinished outputs of each host in a local directory.
//
// A claim is a row with a holder and a lease. On one host, kernel locks decide as in the
// embedded ledger. Across hosts, the lease of the row decides: while it is valid, the key is
// busy. When it has ended without an outcome, the outcome is unknown.
//
// docs/ARCHITECTURE.md describes why it is safe.
package postgres

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"idem/ledger"
	"idem/ledger/postgres/dsn"
	"idem/ledger/postgres/wire"
)

// format is the format of the tables that this program reads and writes.
const format = 1

// Options are the options of Open. A zero value is the default.
type Options struct {
	Lease          time.Duration // how long a claim is valid without a renewal
	KillAfter      time.Duration // between TERM and KILL of a command whose lease ends
	ConnectTimeout time.Duration // how long a call tries to reach the server
	FinishTimeout  time.Duration // how long an outcome is tried to be sent
	Keep           bool          // a command whose lease ends is not ended, and its key stays held
	LocalBase      string        // the directory below which the local files of shared ledgers are
	TrustPlace     bool          // as in drivers.Options
	Warn           func(string)  // receives a line for the user, and lines with details; nil: none
	// FromFlag says that the URL is in the arguments of this process, which other users can
	// read. A password in it is then refused.
	FromFlag bool

	// Keeper is the arguments, with the name of the program, by which this program calls
	// the function Keeper; nil: a command has no keeper.
	Keeper []string

	space newSpace // replaces filelock.New in tests
}

// The defaults of Options.
const (
	DefaultConnectTimeout = 10 * time.Second
	DefaultFinishTimeout  = 10 * time.Minute
)

func (o Options) withDefaults(c *dsn.Config) Options {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	set(&o.Lease, c.Lease)
	set(&o.Lease, ledger.DefaultLease)
	set(&o.ConnectTimeout, DefaultConnectTimeout)
	set(&o.FinishTimeout, DefaultFinishTimeout)
	set(&o.KillAfter, min(10*time.Second, o.Lease/4))
	return o
}

// Ledger is a handle on the ledger in one schema of a database.
type Ledger struct {
	cfg    *dsn.Config
	opt    Options
	schema *strings.Replacer
	texts  sync.Map // of statements in the schema, by what stmt is given
	host   string

	session *wire.Session // of everything but renewals and outputs that are being sent
	pieces  *wire.Session // of these outputs
	outbox  chan []byte   // holds one buffer for pieces, which may be nil
	leases  *leases
	recent  atomic.Pointer[record] // see remember
	synced  atomic.Bool            // see syncFirst
	told    atomic.Bool            // the warning of unsent was given

	mu    sync.Mutex
	local *local // nil until it is needed
	meta  *meta  // nil until it was read
}

// idleTime is the time after which an unused connection is closed, so that a running command
// keeps none.
const idleTime = 2 * time.Second

// Open returns a handle on the ledger at a URL. It connects and creates nothing.
func Open(place string, o Options) (*Ledger, error) {
	cfg, err := dsn.Parse(place, os.Getenv)
	if err != nil {
		return nil, err
	}
	if cfg.Lease != 0 && (cfg.Lease < ledger.MinLease || cfg.Lease > ledger.MaxLease) {
		return nil, &dsn.Error{Text: fmt.Sprintf("the lease in the URL is not from %v to %v", ledger.MinLease, ledger.MaxLease), Hint: "write it like lease=3m"}
	}
	return open(cfg, o)
}

func open(cfg *dsn.Config, o Options) (*Ledger, error) {
	host, _ := os.Hostname()
	l := &Ledger{cfg: cfg, opt: o.withDefaults(cfg), host: host, schema: newReplacer(cfg.Schema)}
	l.session = wire.New(l.dial, idleTime)
	l.pieces, l.outbox = wire.New(l.dial, idleTime), make(chan []byte, 1)
	l.outbox <- nil
	l.leases = newLeases(l, wire.New(l.dial, idleTime))
	if o.Keeper != nil {
		l.leases.keeping = &keeping{ledger: l, argv: o.Keeper}
	}
	return l, nil
}

func (l *Ledger) dial(ctx context.Context) (*pgconn.PgConn, error) { return l.cfg.Dial(ctx) }

// newReplacer replaces {s} by the schema in a statement, and {number} by the name of the sequence.
func newReplacer(schema string) *strings.Replacer {
	name := quoteName(schema)
	return strings.NewReplacer("{s}", name, "{number}", "'"+strings.ReplaceAll(name+".number", "'", "''")+"'")
}

// quoteName returns an SQL identifier (PostgreSQL documentation, 4.1.1).
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// stmt returns a statement in which {s} is the schema.
func (l *Ledger) stmt(sql string, args ...wire.Arg) *wire.Stmt {
	text, known := l.texts.Load(sql)
	if !known {
		text = l.schema.Replace(sql)
		l.texts.Store(sql, text)
	}
	return &wire.Stmt{SQL: text.(string), Args: args}
}

// Place implements ledger.Store. It returns the URL without a password.
func (l *Ledger) Place() string { return l.cfg.Canonical }

// Close implements ledger.Ledger.
func (l *Ledger) Close() error {
	l.session.Close()
	l.pieces.Close()
	l.leases.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.local != nil {
		l.local.dir.Close()
		l.local = nil
	}
	return nil
}

var _ ledger.Ledger = (*Ledger)(nil)
