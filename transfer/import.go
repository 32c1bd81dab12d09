package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"idem/ledger"
)

// ImportOptions say how Import stores records.
type ImportOptions struct {
	OnConflict Conflict
	DryRun     bool   // decide about each record, and store nothing
	SecretID   string // of the secret that the ledger has, see SecretID
	// Refused is called for each record that is not stored because of a conflict, or because it is
	// held: then err is a *ledger.BusyError or a *ledger.KeptError.
	Refused func(have, want ledger.Record, err error)
}

// Summary counts the records of an import.
type Summary struct {
	Records   int `json:"records"` // in the file, as far as it was read
	Stored    int `json:"stored"`
	Same      int `json:"unchanged"` // the ledger had them
	Kept      int `json:"kept"`      // the ledger kept another record, as the options say
	Conflicts int `json:"conflicts"`
	Busy      int `json:"busy"`
	// Unbound counts stored records whose inputs are hashed with another secret than that of the
	// ledger. Calls with such inputs are refused.
	Unbound int `json:"unbound"`
	// Behind counts keys that stay with an older generation than they have in the other ledger. When
	// they are forgotten, a token that the other ledger has used can return.
	Behind int `json:"behind"`
}

// Importer reads an export.
type Importer struct{ r *reader }

// NewImporter reads the header of an export. Errors about the content are *Error.
func NewImporter(from io.Reader) (*Importer, error) {
	r, err := newReader(from)
	if err != nil {
		return nil, err
	}
	return &Importer{r}, nil
}

// Header returns the header.
func (i *Importer) Header() Header { return i.r.header }

// Verify reads everything, and returns the first fault.
func (i *Importer) Verify() (records int, err error) {
	for {
		it, err := i.r.next()
		if err == nil && it.record != nil {
			err = i.skip()
		}
		if err != nil || it.numbers == nil && it.record == nil {
			return i.r.records, err
		}
	}
}

// skip reads the pieces of a record.
func (i *Importer) skip() error {
	for {
		if _, err := i.r.piece(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Import stores the records in l, one after the other. Each is stored completely or not at all, and
// only after all of its lines were checked. So after an error, the records before it are stored, and
// the same import can be made again. Memory is bounded by one record without its outputs.
func (i *Importer) Import(ctx context.Context, l ledger.Ledger, o ImportOptions) (Summary, error) {
	m := &importing{Importer: i, l: l, o: o, bound: o.SecretID == i.r.header.SecretID || i.r.header.SecretID == ""}
	if !o.DryRun { // each record is a commit, and its statements would be compiled again
		defer ledger.Sustain(l)()
	}
	for {
		it, err := i.r.next()
		switch {
		case err != nil:
		case it.numbers != nil:
			err = m.numbers(ctx, *it.numbers, it.history)
		case it.record != nil:
			m.sum.Records++
			err = m.record(ctx, *it.record)
		default:
			return m.sum, nil
		}
		if err != nil {
			return m.sum, err
		}
	}
}

type importing struct {
	*Importer
	l     ledger.Ledger
	o     ImportOptions
	sum   Summary
	bound bool // inputs are hashed with the secret of the ledger
}

func (m *importing) numbers(ctx context.Context, want ledger.Record, history bool) error {
	resolve := func(have ledger.Record) Verdict { return ResolveNumbers(have, want, history, m.o.OnConflict) }
	have, verdict, err := m.put(ctx, want, resolve, nil)
	if verdict == Differs {
		m.sum.Conflicts++
	} else if !history && behind(have, want) {
		m.sum.Behind++
	}
	return err
}

// behind reports whether have keeps its history with an older generation.
func behind(have, want ledger.Record) bool {
	return have.Current.RunID != "" && have.Generation < want.Generation
}

func (m *importing) record(ctx context.Context, want ledger.Record) error {
	var inputs []byte // of the latest attempt in the end
	read := false
	next := func() (ledger.Piece, error) {
		read = true
		p, err := m.r.piece()
		if p.Attempt != nil {
			inputs = p.Attempt.Inputs
		}
		return p, err
	}
	have, verdict, err := m.put(ctx, want, func(have ledger.Record) Verdict { return Resolve(have, want, m.o.OnConflict) }, next)
	if err == nil && !read {
		for err == nil {
			_, err = next()
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	if m.o.DryRun && verdict == Store && ledger.Unsettles(have.Current, want.Current, func(runID string) bool { return m.r.runs[runID] }) {
		m.o.Refused(have, want, nil)
		verdict = Differs
	}
	switch verdict {
	case Store:
		m.sum.Stored++
		if !m.bound && keyed(inputs) {
			m.sum.Unbound++
		}
	case Same:
		m.sum.Same++
	case Kept:
		m.sum.Kept++
		if behind(have, want) {
			m.sum.Behind++
		}
	case Differs:
		m.sum.Conflicts++
	}
	return nil
}

// put stores a record if resolve says so, or only its numbers without next. A record that stays gets
// the greater numbers, so that no fence returns. have is the record that resolve decided about. The
// verdict is "" for a record that is held.
func (m *importing) put(
	ctx context.Context, want ledger.Record, resolve func(ledger.Record) Verdict, next func() (ledger.Piece, error),
) (have ledger.Record, verdict Verdict, err error) {
	if have, err = m.l.Get(ctx, want.ID); err != nil {
		return have, "", err
	}
	verdict = resolve(have)
	if verdict == Differs {
		m.o.Refused(have, want, nil)
	}
	if m.o.DryRun || !writes(verdict, have, want) {
		return have, verdict, nil
	}
	c, err := m.l.Claim(ctx, want.ID)
	if held(err) {
		m.sum.Busy++
		m.o.Refused(have, want, err)
		return have, "", nil
	}
	if err != nil {
		return have, "", err
	}
	defer c.Release()
	to, ok := c.(ledger.Receiving)
	if !ok {
		return have, "", errors.New("this ledger cannot store the records of another one")
	}
	if have, err = c.Record(ctx); err != nil { // it may have changed before the claim
		return have, "", err
	}
	verdict = resolve(have)
	if verdict == Differs {
		m.o.Refused(have, want, nil)
	}
	if !writes(verdict, have, want) {
		return have, verdict, nil
	}
	if verdict != Store {
		next = nil
	}
	err = to.Put(ctx, ledger.Import{
		Expect: have, Generation: want.Generation, Fence: want.Fence, Series: want.Series, Parent: want.Parent, Next: next,
	})
	if errors.Is(err, ledger.ErrHistory) {
		m.o.Refused(have, want, nil)
		return have, Differs, nil
	}
	if err != nil && !errors.As(err, new(*Error)) {
		err = fmt.Errorf("key %q: %w", want.ID.Key, err)
	}
	return have, verdict, err
}

// writes reports whether a record or its numbers change.
func writes(verdict Verdict, have, want ledger.Record) bool {
	stays := verdict == Kept || verdict == Same
	return verdict == Store || stays && (have.Fence < want.Fence || have.Series < want.Series)
}

func held(err error) bool {
	return errors.As(err, new(*ledger.BusyError)) || errors.As(err, new(*ledger.KeptError))
}
