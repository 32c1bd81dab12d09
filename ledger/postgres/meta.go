package postgres

import (
	"context"
	"errors"
	"fmt"

	"idem/ledger"
	"idem/ledger/postgres/dsn"
	"idem/ledger/postgres/wire"
)

// meta is the row of the table meta, with the server's state at that moment.
type meta struct {
	ledger    wire.UUID
	format    int
	minReader int
	minWriter int
	confirmed int // the timeline
	timeline  int // of the server now; 0 on a standby
	failover  string
	// confirmations is how often a person has accepted the content for all hosts.
	confirmations int64
	secret        []byte
}

// The values of meta.failover: whether new keys are refused after a promotion.
const (
	FailoverRefuse = "refuse"
	FailoverAccept = "accept"
)

// timelineNow is the timeline of the server's log: the first 8 digits of the name of its
// current file (PostgreSQL documentation, 9.27.3). It changes at a promotion and after a
// restore to a point in time. A standby has none.
const timelineNow = `(case when pg_catalog.pg_is_in_recovery() then 0 else
	('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::pg_catalog.bit(32)::pg_catalog.int4 end)`

func (l *Ledger) metaStmt(m *meta) *wire.Stmt {
	s := l.stmt("select ledger, format, min_reader, min_writer, timeline, " + timelineNow + ", failover, confirmations, secret from {s}.meta")
	s.Each = func(row *wire.Row) error {
		*m = meta{
			ledger: row.ID(), format: int(row.Int()), minReader: int(row.Int()), minWriter: int(row.Int()),
			confirmed: int(row.Int()), timeline: int(row.Int()), failover: row.Text(), confirmations: row.Int(), secret: row.Bytes(),
		}
		return nil
	}
	return s
}

// readMeta reads the row of meta once. The caller holds l.mu.
func (l *Ledger) readMeta(ctx context.Context) (*meta, error) {
	if l.meta != nil {
		return l.meta, nil
	}
	var m meta
	err := l.retry(ctx, l.opt.ConnectTimeout, func(ctx context.Context) error { return l.session.Alone(ctx, wire.Read, l.metaStmt(&m)) })
	if err != nil {
		return nil, err
	}
	if m.ledger == (wire.UUID{}) {
		return nil, l.explain(fmt.Errorf("%w: the table meta is empty", ledger.ErrCorrupt))
	}
	if m.minReader > format {
		return nil, l.explain(m.tooNew())
	}
	l.meta = &m
	return &m, nil
}

// tooNew returns the error of tables in a format that this program must not use.
func (m *meta) tooNew() error {
	return fmt.Errorf("%w: its format is %d, this idem knows %d", ledger.ErrVersion, m.format, format)
}

// missing returns the error for one that says that a table is missing. If the table meta is there, a
// newer idem has renamed the table, or a person has dropped it. An upgrade to a format that this
// program cannot read renames the table record. So a statement about a record need not look at the
// table meta.
func (l *Ledger) missing(ctx context.Context, err error) error {
	if dsn.Class(err) != dsn.NoSchema {
		return err
	}
	var m meta
	switch {
	case l.session.Alone(ctx, wire.Read, l.metaStmt(&m)) != nil:
		return err
	case m.minReader > format:
		return m.tooNew()
	}
	return fmt.Errorf("%w: %s", ledger.ErrCorrupt, dsn.Text(err))
}

// refusal returns the error of a claim that the server's state does not permit, or nil. known
// is the ledger that this host knows at the URL. A person may settle keys after a promotion.
func (m *meta) refusal(known wire.UUID, person bool) error {
	switch {
	case m.ledger == (wire.UUID{}):
		return fmt.Errorf("%w: the table meta is empty", ledger.ErrCorrupt)
	case m.minWriter > format:
		return m.tooNew()
	case m.ledger != known:
		return errOther
	case m.timeline == 0:
		return fmt.Errorf("%w: the server is a standby", ledger.ErrReadOnly)
	case !person && m.failover != FailoverAccept && m.timeline != m.confirmed:
		return fmt.Errorf("%w (timeline %d, confirmed: %d)",
			ledger.ErrFailedOver, m.timeline, m.confirmed)
	}
	return nil
}

// errOther: another ledger is at the URL than this host has used there.
var errOther = fmt.Errorf("%w: another ledger is at this URL than before", ledger.ErrFailedOver)

// Secret implements ledger.Store. All hosts share the secret, so that they compute the same
// hashes.
func (l *Ledger) Secret(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, err := l.readMeta(ctx)
	if err != nil {
		return nil, err
	}
	return m.secret, nil
}

// FindSecret implements ledger.Store.
func (l *Ledger) FindSecret() ([]byte, error) {
	secret, err := l.Secret(context.Background())
	if errors.Is(err, ledger.ErrMissing) {
		return nil, nil
	}
	return secret, err
}
