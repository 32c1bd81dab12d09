package wire

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Stmt is a statement with its result.
type Stmt struct {
	SQL  string
	Args []Arg
	// Each is called for each row after the transaction is committed, or in a Tx after the
	// round trip. It may be nil.
	Each func(*Row) error

	// Many is set in a statement that is made for many rows of parameters. Each parameter is
	// an array of the type of its column, and the last one has the number of the request that
	// a row belongs to. The first column of a result must be that number. Requests with the
	// same SQL that are sent together become one statement. Args is not used.
	Many [][]Arg

	// One is what is sent instead of SQL if there is one row of parameters in all. They are sent as
	// they are, without a number, and the result has none. The server plans it in much less time.
	One string

	// Rows is the number of rows that were returned or, by a statement that returns none,
	// changed.
	Rows int64

	rows [][][]byte
}

// Size returns the number of bytes of the parameters.
func (s *Stmt) Size() (n int) {
	for _, row := range append([][]Arg{s.Args}, s.Many...) {
		for _, a := range row {
			n += len(a.value)
		}
	}
	return n
}

// merged is a statement as it is sent: one Stmt, or several of the same SQL with Many.
type merged struct {
	sql   string
	args  []Arg
	parts []*Stmt
	many  bool // the first column is the number of the part
}

// merge returns what is sent for statements of several requests. The first statements of all
// requests come first, then the second ones, and so on.
func merge(requests [][]*Stmt) (all []*merged) {
	for at, more := 0, true; more; at++ {
		more = false
		bySQL := map[string]*merged{}
		for _, stmts := range requests {
			if at >= len(stmts) {
				continue
			}
			more = true
			s := stmts[at]
			s.rows, s.Rows = nil, 0
			if m := bySQL[s.SQL]; m != nil && s.Many != nil {
				m.parts = append(m.parts, s)
				continue
			}
			m := &merged{sql: s.SQL, args: s.Args, parts: []*Stmt{s}}
			if s.Many != nil {
				bySQL[s.SQL] = m
			}
			all = append(all, m)
		}
	}
	for _, m := range all {
		switch s := m.parts[0]; {
		case s.Many == nil:
		case s.One != "" && len(m.parts) == 1 && len(s.Many) == 1:
			m.sql, m.args = s.One, s.Many[0]
		default:
			m.args, m.many = m.columns(), true
		}
	}
	return all
}

// columns returns the rows of all parts as one array for each column.
func (m *merged) columns() []Arg {
	width := len(m.parts[0].Many[0])
	values := make([][][]byte, width)
	oids := make([]uint32, width)
	var numbers []int64
	for n, part := range m.parts {
		for _, row := range part.Many {
			for i, a := range row {
				values[i], oids[i] = append(values[i], a.value), a.oid
			}
			numbers = append(numbers, int64(n))
		}
	}
	args := make([]Arg, width, width+1)
	for i := range args {
		args[i] = Arg{arrayOID[oids[i]], encodeArray(oids[i], values[i])}
	}
	return append(args, IntArray(numbers))
}

var arrayOID = map[uint32]uint32{
	oidBool: oidBoolArray, oidBytes: oidBytesArray, oidInt8: oidInt8Array, oidText: oidTextArray,
	oidTimestamptz: oidTimestamptzArray, oidUUID: oidUUIDArray,
}

// take keeps a row of the result.
func (m *merged) take(values [][]byte) error {
	part := m.parts[0]
	if m.many {
		r := Row{values: values}
		n := r.Int()
		if r.err != nil || n < 0 || n >= int64(len(m.parts)) {
			return errColumn
		}
		part, values = m.parts[n], values[1:]
		part.Rows++
	}
	row := make([][]byte, len(values))
	for i, v := range values {
		if v != nil {
			row[i] = append(make([]byte, 0, len(v)), v...) // v is valid until the next row
		}
	}
	part.rows = append(part.rows, row)
	return nil
}

// mostBuffered is about the number of bytes of parameters that are collected before they are sent.
const mostBuffered = 64 << 10

// exchange sends statements and one Sync in one round trip, and keeps the rows.
func exchange(ctx context.Context, conn *pgconn.PgConn, stmts []*merged) error {
	p := conn.StartPipeline(ctx)
	binary := []int16{1}
	var err error
	buffered := 0
	for _, s := range stmts {
		values, oids := make([][]byte, len(s.args)), make([]uint32, len(s.args))
		for i, a := range s.args {
			values[i], oids[i] = a.value, a.oid
			buffered += len(a.value)
		}
		p.SendQueryParams(s.sql, values, oids, binary, binary)
		if buffered > mostBuffered && err == nil {
			err, buffered = p.Flush(), 0
		}
	}
	if err == nil {
		err = p.Sync()
	}
	for _, s := range stmts {
		if err != nil {
			break
		}
		err = s.receive(p)
	}
	if err == nil { // the answer to Sync: the transaction is committed
		var r any
		if r, err = p.GetResults(); err == nil {
			if _, ok := r.(*pgconn.PipelineSync); !ok {
				err = fmt.Errorf("%w: %T", errColumn, r)
			}
		}
	}
	return errors.Join(err, p.Close())
}

func (m *merged) receive(p *pgconn.Pipeline) error {
	r, err := p.GetResults()
	if err != nil {
		return err
	}
	rr, ok := r.(*pgconn.ResultReader)
	if !ok {
		return fmt.Errorf("%w: %T", errColumn, r)
	}
	for rr.NextRow() && err == nil {
		err = m.take(rr.Values())
	}
	tag, closed := rr.Close()
	if !m.many {
		m.parts[0].Rows = tag.RowsAffected()
	}
	return errors.Join(closed, err)
}

// deliver calls the functions Each.
func deliver(stmts []*Stmt) error {
	for _, s := range stmts {
		rows := s.rows
		s.rows = nil
		if s.Each == nil {
			continue
		}
		for _, values := range rows {
			row := &Row{values: values}
			if err := errors.Join(s.Each(row), row.err); err != nil {
				return err
			}
		}
	}
	return nil
}
