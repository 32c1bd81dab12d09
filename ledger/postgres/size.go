package postgres

import (
	"context"

	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// Size implements ledger.Sized.
func (l *Ledger) Size(ctx context.Context) (total int64, err error) {
	s := l.stmt(`select pg_catalog.pg_total_relation_size('{s}.record') + pg_catalog.pg_total_relation_size('{s}.attempt')
		+ pg_catalog.pg_total_relation_size('{s}.output') + pg_catalog.pg_total_relation_size('{s}.file') + pg_catalog.pg_total_relation_size('{s}.late')
		+ pg_catalog.pg_total_relation_size('{s}.mutex')`)
	s.Each = func(row *wire.Row) error { total = row.Int(); return nil }
	err = l.do(ctx, wire.Read, s)
	return total, err
}

// stored returns the number of bytes that an output takes.
func (o output) stored() int64 {
	if o.storage == storageInline || o.storage == storageChunks {
		return o.size
	}
	return 0
}

var _ ledger.Sized = (*Ledger)(nil)
