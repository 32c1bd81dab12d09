package wire

import (
	"encoding/binary"
	"errors"
	"testing"
)

// rowValue is the binary form of a row. A nil value is null.
func rowValue(fields ...Arg) []byte {
	v := binary.BigEndian.AppendUint32(nil, uint32(len(fields)))
	for _, f := range fields {
		v = binary.BigEndian.AppendUint32(v, f.oid)
		if f.value == nil {
			v = binary.BigEndian.AppendUint32(v, 1<<32-1)
			continue
		}
		v = append(binary.BigEndian.AppendUint32(v, uint32(len(f.value))), f.value...)
	}
	return v
}

// TestWholeRow checks that a whole row is read by type, and that one that is cut off or has a wrong
// type is an error.
func TestWholeRow(t *testing.T) {
	value := rowValue(Text("a"), BytesOrNull(nil), Int(7), Bool(true), Bytes(nil))
	r := &Row{values: [][]byte{value, nil}}
	w := r.Whole()
	if w == nil {
		t.Fatal(r.Err())
	}
	if text, null, n, b, empty := w.Text(), w.Bytes(), w.Int(), w.Bool(), w.Bytes(); text != "a" || null != nil || n != 7 || !b || empty == nil || w.Err() != nil {
		t.Errorf("got %q, %v, %d, %v, %v, %v", text, null, n, b, empty, w.Err())
	}
	if w := r.Whole(); w != nil || r.Err() != nil {
		t.Errorf("null: got %v, %v", w, r.Err())
	}
	for n := range len(value) {
		r := &Row{values: [][]byte{value[:n:n]}}
		if w := r.Whole(); w != nil || !errors.Is(r.Err(), errColumn) {
			t.Errorf("cut off at %d: got %v, %v", n, w, r.Err())
		}
	}
	for name, read := range map[string]func(r *Row){
		"an int as bytes": func(r *Row) { r.Text(); r.Bytes(); r.Bytes() },
		"bytes as an int": func(r *Row) { r.Text(); r.Int() },
		"text as bytes":   func(r *Row) { r.Bytes() },
		"too many": func(r *Row) {
			r.Text()
			r.Bytes()
			r.Int()
			r.Bool()
			r.Bytes()
			r.Bytes()
		},
	} {
		w := (&Row{values: [][]byte{value}}).Whole()
		if read(w); !errors.Is(w.Err(), errColumn) {
			t.Errorf("%s: got %v", name, w.Err())
		}
	}
}

// TestOneRow checks when a statement is sent without arrays.
func TestOneRow(t *testing.T) {
	many := func(rows ...int) *Stmt {
		s := &Stmt{SQL: "many", One: "one"}
		for _, n := range rows {
			s.Many = append(s.Many, []Arg{Int(n)})
		}
		return s
	}
	for _, c := range []struct {
		name     string
		requests [][]*Stmt
		want     string
		args     int
	}{
		{"one request", [][]*Stmt{{many(1)}}, "one", 1},
		{"two requests", [][]*Stmt{{many(1)}, {many(2)}}, "many", 2},
		{"two rows of a request", [][]*Stmt{{many(1, 2)}}, "many", 2},
		{"no other form", [][]*Stmt{{{SQL: "many", Many: [][]Arg{{Int(1)}}}}}, "many", 2},
	} {
		all := merge(c.requests)
		if len(all) != 1 || all[0].sql != c.want || len(all[0].args) != c.args || all[0].many != (c.want == "many") {
			t.Errorf("%s: got %d statements, the first %q with %d arguments", c.name, len(all), all[0].sql, len(all[0].args))
		}
	}
}
