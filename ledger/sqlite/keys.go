package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// NextKey implements ledger.Ordered. The unique index of records is in the order of
// namespace, key and window.
func (l *Ledger) NextKey(ctx context.Context, namespace, from, before string) (string, error) {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return "", l.explain(err)
	}
	var key []byte
	err = db.QueryRowContext(ctx, "select key from records where namespace = ? and key >= ? and key < ? and current <> 0 order by key limit 1",
		[]byte(namespace), []byte(from), []byte(before)).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return string(key), l.explain(err)
}

// Namespaces implements ledger.Ordered.
func (l *Ledger) Namespaces(ctx context.Context) ([]string, error) {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return nil, l.explain(err)
	}
	rows, err := db.QueryContext(ctx, allNamespaces+"select name from namespaces where name is not null")
	if err != nil {
		return nil, l.explain(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name []byte
		if err := rows.Scan(&name); err != nil {
			return nil, l.explain(err)
		}
		all = append(all, string(name))
	}
	return all, l.explain(rows.Err())
}
