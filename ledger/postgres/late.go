package postgres

import (
	"context"

	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// recordLate stores an outcome that arrived after another run or a mark had taken the key over.
// It changes no record.
func (l *Ledger) recordLate(ctx context.Context, o *outcome) error {
	return l.do(ctx, wire.Durable, l.stmt(`insert into {s}.late (id, run_id, arrived, ended, state, reason, exit_code, signal, host)
		values ($1, $2, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp() - $3 * '1 microsecond'::pg_catalog.interval, $4, $5, $6, $7, $8)
		on conflict (id, run_id) do nothing`,
		wire.Bytes(nameOf(o.id())), wire.Text(o.RunID), wire.Int(o.age()), wire.Text(string(o.State)), wire.Text(string(o.Reason)),
		wire.Int(o.ExitCode), wire.Int(o.Signal), wire.Bytes(o.Host)))
}

// Late implements ledger.Belated.
func (l *Ledger) Late(ctx context.Context, id ledger.ID) ([]ledger.Attempt, error) {
	var all []ledger.Attempt
	s := l.stmt("select run_id, ended, state, reason, exit_code, signal, host from {s}.late where id = $1 order by ended, run_id", wire.Bytes(nameOf(id)))
	s.Each = func(row *wire.Row) error {
		a := ledger.Attempt{
			RunID: row.Text(), Ended: row.Time(), State: ledger.State(row.Text()), Reason: ledger.Reason(row.Text()),
			ExitCode: int(row.Int()), Signal: int(row.Int()),
		}
		a.Owner.Host = row.Text()
		all = append(all, a)
		return nil
	}
	err := l.do(ctx, wire.Read, s)
	return all, err
}

var _ ledger.Belated = (*Ledger)(nil)
