package wire

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"
)

// Row is a row of a result. Its methods return the columns one after the other. A null is
// the zero value of its type. Err reports a column that had another type.
type Row struct {
	values [][]byte
	types  []uint32 // of the values; nil: not known
	next   int
	err    error
}

var (
	errColumn   = errors.New("the server's answer has an unexpected form")
	errUnserved = errors.New("the transaction was ended by a panic")
)

// Err returns an error if a method was called for a column of another type, or too often.
func (r *Row) Err() error { return r.err }

// The types that a method takes.
var (
	typesBytes = []uint32{oidBytes}
	typesText  = []uint32{oidText, oidBytes}
	typesInt   = []uint32{oidInt2, oidInt4, oidInt8}
	typesBool  = []uint32{oidBool}
	typesID    = []uint32{oidUUID}
	typesTime  = []uint32{oidTimestamptz}
)

// column returns the next value, which must have one of the types and, unless it is null, one of
// the sizes. Without sizes, any is right.
func (r *Row) column(types []uint32, sizes ...int) []byte {
	if r.next >= len(r.values) || r.types != nil && !slices.Contains(types, r.types[r.next]) {
		r.err = errColumn
		return nil
	}
	v := r.values[r.next]
	r.next++
	if v != nil && len(sizes) > 0 && !slices.Contains(sizes, len(v)) {
		r.err = errColumn
		return nil
	}
	return v
}

// Null reports whether the next column is null. It does not skip it.
func (r *Row) Null() bool { return r.next < len(r.values) && r.values[r.next] == nil }

// Whole returns a column that is a whole row of a table, or nil for null. The columns of that row
// are in the order of the table, and their types are known.
func (r *Row) Whole() *Row {
	v := r.column(typesBytes)
	if v == nil {
		return nil
	}
	whole, err := parseRow(v)
	if err != nil {
		r.err = err
		return nil
	}
	return whole
}

// parseRow reads the binary form of a row (record_send of PostgreSQL).
func parseRow(v []byte) (*Row, error) {
	if len(v) < 4 {
		return nil, errColumn
	}
	n := binary.BigEndian.Uint32(v)
	v = v[4:]
	if uint64(n) > uint64(len(v)/8) {
		return nil, errColumn
	}
	r := &Row{values: make([][]byte, n), types: make([]uint32, n)}
	for i := range r.values {
		if len(v) < 8 {
			return nil, errColumn
		}
		size := binary.BigEndian.Uint32(v[4:])
		r.types[i], v = binary.BigEndian.Uint32(v), v[8:]
		if size == math.MaxUint32 {
			continue
		}
		if uint64(size) > uint64(len(v)) {
			return nil, errColumn
		}
		r.values[i], v = v[:size:size], v[size:]
	}
	return r, nil
}

// Bytes returns a bytea. It is nil for null only.
func (r *Row) Bytes() []byte { return r.column(typesBytes) }

// Text returns a text or a bytea.
func (r *Row) Text() string { return string(r.column(typesText)) }

// Int returns an integer of any size.
func (r *Row) Int() int64 {
	switch v := r.column(typesInt, 2, 4, 8); len(v) {
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
func (r *Row) Bool() bool { v := r.column(typesBool, 1); return len(v) == 1 && v[0] != 0 }

// ID returns a UUID.
func (r *Row) ID() (u UUID) { copy(u[:], r.column(typesID, 16)); return u }

// Time returns a timestamptz in UTC.
func (r *Row) Time() time.Time {
	v := r.column(typesTime, 8)
	if v == nil {
		return time.Time{}
	}
	return epoch.Add(time.Duration(binary.BigEndian.Uint64(v)) * time.Microsecond)
}
