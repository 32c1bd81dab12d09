package wire

import (
	"encoding/binary"
	"math"
	"time"
)

// The object IDs of the types of parameters and of columns (pg_type.dat of PostgreSQL).
const (
	oidBool             = 16
	oidBytes            = 17
	oidInt8             = 20
	oidInt2             = 21
	oidInt4             = 23
	oidText             = 25
	oidTimestamptz      = 1184
	oidUUID             = 2950
	oidBytesArray       = 1001
	oidTextArray        = 1009
	oidInt8Array        = 1016
	oidBoolArray        = 1000
	oidTimestamptzArray = 1185
	oidUUIDArray        = 2951
)

// UUID is a UUID in binary form.
type UUID = [16]byte

// Arg is a parameter of a statement, with its exact type, in the binary format. The types
// keep the server from choosing a function or an operator by search_path.
type Arg struct {
	oid   uint32
	value []byte // nil is null
}

// Bytes is a bytea. Nil is the empty one.
func Bytes(b []byte) Arg {
	if b == nil {
		b = []byte{}
	}
	return Arg{oidBytes, b}
}

// BytesOrNull is Bytes, with null for nil.
func BytesOrNull(b []byte) Arg { return Arg{oidBytes, b} }

// Raw is a bytea with the bytes of s.
func Raw(s string) Arg { return Bytes([]byte(s)) }

// Text is a text. The server refuses text that is not valid in its encoding, so only text of
// this program is sent as Text.
func Text(s string) Arg { return Arg{oidText, append([]byte{}, s...)} }

// Int is a bigint.
func Int[N ~int | ~int32 | ~int64 | ~uint32](n N) Arg { return Arg{oidInt8, encodeInt(int64(n))} }

// Bool is a boolean.
func Bool(b bool) Arg { return Arg{oidBool, encodeBool(b)} }

// ID is a UUID.
func ID(u UUID) Arg { return Arg{oidUUID, u[:]} }

// IDOrNull is ID, with null for the zero UUID.
func IDOrNull(u UUID) Arg {
	if u == (UUID{}) {
		return Arg{oidUUID, nil}
	}
	return ID(u)
}

// TimeOrNull is a timestamptz, with null for the zero time.
func TimeOrNull(t time.Time) Arg {
	if t.IsZero() {
		return Arg{oidTimestamptz, nil}
	}
	return Arg{oidTimestamptz, encodeTime(t)}
}

// BytesArray is a bytea[]. A nil element is null.
func BytesArray(bs [][]byte) Arg { return Arg{oidBytesArray, encodeArray(oidBytes, bs)} }

// TextArray is a text[].
func TextArray(ss []string) Arg {
	return arrayOf(oidTextArray, oidText, ss, func(s string) []byte { return append([]byte{}, s...) })
}

// IntArray is a bigint[].
func IntArray(ns []int64) Arg { return arrayOf(oidInt8Array, oidInt8, ns, encodeInt) }

// BoolArray is a boolean[].
func BoolArray(bs []bool) Arg { return arrayOf(oidBoolArray, oidBool, bs, encodeBool) }

// IDArray is a uuid[].
func IDArray(us []UUID) Arg {
	return arrayOf(oidUUIDArray, oidUUID, us, func(u UUID) []byte { return u[:] })
}

// TimeArray is a timestamptz[], with null for zero times.
func TimeArray(ts []time.Time) Arg {
	return arrayOf(oidTimestamptzArray, oidTimestamptz, ts, func(t time.Time) []byte { return TimeOrNull(t).value })
}

func arrayOf[E any](array, element uint32, es []E, encode func(E) []byte) Arg {
	bs := make([][]byte, len(es))
	for i, e := range es {
		bs[i] = encode(e)
	}
	return Arg{array, encodeArray(element, bs)}
}

// encodeArray returns the binary form of a one-dimensional array (array_send of PostgreSQL).
func encodeArray(element uint32, bs [][]byte) []byte {
	if len(bs) == 0 {
		return binary.BigEndian.AppendUint32(make([]byte, 8), element)
	}
	size, nulls := 20, uint32(0)
	for _, b := range bs {
		size += 4 + len(b)
		if b == nil {
			nulls = 1
		}
	}
	out := make([]byte, 0, size)
	for _, n := range []uint32{1, nulls, element, uint32(len(bs)), 1} {
		out = binary.BigEndian.AppendUint32(out, n)
	}
	for _, b := range bs {
		if b == nil {
			out = binary.BigEndian.AppendUint32(out, math.MaxUint32)
			continue
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(b))), b...)
	}
	return out
}

func encodeInt(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func encodeBool(b bool) []byte {
	if b {
		return []byte{1}
	}
	return []byte{0}
}

// epoch is the zero of timestamps of PostgreSQL.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func encodeTime(t time.Time) []byte { return encodeInt(t.Sub(epoch).Microseconds()) }
