package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"idem/ledger"
)

// bulk calls f for each row of a query. It takes the values from the driver, because
// database/sql converts each of them with reflection, and most lists have 38 columns.
//
// f must not use the database: bulk has its only connection.
func (d *database) bulk(ctx context.Context, f func(r *bulkRow) error, query string, args ...any) error {
	conn, err := d.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(c any) error {
		named := make([]driver.NamedValue, len(args))
		for i, arg := range args {
			v, err := driver.DefaultParameterConverter.ConvertValue(arg)
			if err != nil {
				return err
			}
			named[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
		}
		rows, err := c.(driver.QueryerContext).QueryContext(ctx, query, named)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // its error is that of Next
		r := &bulkRow{make([]driver.Value, len(rows.Columns()))}
		for {
			if err := rows.Next(r.values); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := f(r); err != nil {
				return err
			}
		}
	})
}

// bulkRow is the current row of a query, and a scanner.
type bulkRow struct{ values []driver.Value }

// Scan stores the columns of the row. It does not check their types: a number that is stored as
// another type is 0, and the checksum of the row then differs. A text that is equal to that of the
// row before is kept. A []byte is overwritten by the next Scan.
func (r *bulkRow) Scan(dest ...any) error {
	for i, d := range dest {
		v := r.values[i]
		switch d := d.(type) {
		case *int64:
			*d, _ = v.(int64)
		case *int:
			n, _ := v.(int64)
			*d = int(n)
		case *uint32:
			n, _ := v.(int64)
			*d = uint32(n)
		case *bool:
			n, _ := v.(int64)
			*d = n != 0
		case *string:
			keep(d, v)
		case *ledger.State:
			keep(d, v)
		case *ledger.Reason:
			keep(d, v)
		case *[]byte:
			switch v := v.(type) {
			case string:
				*d = append((*d)[:0], v...)
			case []byte:
				*d = append((*d)[:0], v...)
			default:
				*d = (*d)[:0]
			}
		default:
			return fmt.Errorf("cannot scan a %T", d)
		}
	}
	return nil
}

// rowScan receives the columns of a record and an attempt, row by row.
type rowScan struct {
	r    recordRow
	a    attemptRow // without its Inputs
	scan func(s scanner) error
}

func newRowScan() *rowScan {
	row, at := &rowScan{}, attemptScan{bare: true}
	dest := append(row.r.dest(), at.dest()...)
	row.scan = func(s scanner) error {
		err := s.Scan(dest...)
		if err == nil {
			err = row.r.verify()
		}
		if err == nil {
			row.a, err = at.attempt(row.r.rec.ID)
		}
		return err
	}
	return row
}

// keep stores a text in *s, unless it is equal.
func keep[T ~string](s *T, v driver.Value) {
	switch v := v.(type) {
	case string:
		if string(*s) != v {
			*s = T(v)
		}
	case []byte:
		if string(*s) != string(v) {
			*s = T(v)
		}
	default:
		*s = ""
	}
}
