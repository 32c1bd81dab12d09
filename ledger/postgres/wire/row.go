package wire

import (
	"encoding/binary"
	"errors"
	"time"
)

// Row is a row of a result. Its methods return the columns one after the other. A null is
// the zero value of its type. Err reports a column that had another type.
type Row struct {
	values [][]byte
	next   int
	err    error
}

var (
	errColumn   = errors.New("the server's answer has an unexpected form")
	errUnserved = errors.New("the transaction was ended by a panic")
)

// Err returns an error if a method was called for a column of another type, or too often.
func (r *Row) Err() error { return r.err }

func (r *Row) column(sizes ...int) []byte {
	if r.next >= len(r.values) {
		r.err = errColumn
		return nil
	}
	v := r.values[r.next]
	r.next++
	if v == nil || len(sizes) == 0 {
		return v
	}
	for _, n := range sizes {
		if len(v) == n {
			return v
		}
	}
	r.err = errColumn
	return nil
}

// Null reports whether the next column is null. It does not skip it.
func (r *Row) Null() bool { return r.next < len(r.values) && r.values[r.next] == nil }

// Bytes returns a bytea. It is nil for null only.
func (r *Row) Bytes() []byte { return r.column() }

// Text returns a text or a bytea.
func (r *Row) Text() string { return string(r.column()) }

// Int returns an integer of any size.
func (r *Row) Int() int64 {
	switch v := r.column(2, 4, 8); len(v) {
	case 2:
		return int64(int16(binary.BigEndian.Uint16(v)))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(v)))
	case 8:
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

// Bool returns a boolean.
func (r *Row) Bool() bool { v := r.column(1); return len(v) == 1 && v[0] != 0 }

// ID returns a UUID.
func (r *Row) ID() (u UUID) { copy(u[:], r.column(16)); return u }

// Time returns a timestamptz in UTC.
func (r *Row) Time() time.Time {
	v := r.column(8)
	if v == nil {
		return time.Time{}
	}
	return epoch.Add(time.Duration(binary.BigEndian.Uint64(v)) * time.Microsecond)
}
