package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// A witness is what this host knows that the server has acknowledged: the outcome, the mark or the
// Forget with the greatest number. The log of a server is lost from its end, and numbers are drawn
// in its order. So a server that has forgotten a later change has forgotten the witness, too.
//
// The file of the witness is not flushed: it must outlive the process, but after a loss of power
// an older witness or none does no harm.

// evidence is what a witness says.
type evidence struct {
	name  filelock.Name
	fence int64 // of an outcome; the number of a mark or a Forget
	// generation is that of the record, but for a Forget the one before it.
	generation int64
	run        string // of an outcome or a mark
	// confirmations is meta.confirmations at that time. If there are more now, a person has
	// accepted that the server may have forgotten the record.
	confirmations int64
	// above has the names of the records that may be above the record. If one of them got a newer
	// series, the record may have been deleted.
	above [][]byte
}

// witness is the witness of a local directory.
type witness struct {
	mu   sync.Mutex
	last evidence
	// confirmations is meta.confirmations as a claim has read it last; 0 if none has. It begins at 1.
	confirmations int64
	until         time.Time // when the file must be read again

	greatest atomic.Int64 // the greatest fence that is or will be in the file
}

const (
	witnessFile  = "last"
	witnessHead  = "idem last 2"
	witnessAge   = time.Second
	witnessSize  = 1024
	witnessAbove = 12 // a record with more above it is not used
)

// acknowledged notes that the server has acknowledged the outcome of an attempt with a fence, or a
// mark or a Forget with a number. The generation and the run are as in evidence.
func (s *local) acknowledged(id ledger.ID, fence, generation int64, run string) {
	above := prefixes(id)
	if len(above) > witnessAbove {
		return
	}
	w := &s.witness
	for greatest := w.greatest.Load(); !w.greatest.CompareAndSwap(greatest, max(greatest, fence)); {
		greatest = w.greatest.Load()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.confirmations == 0 || fence < w.greatest.Load() { // of a group of outcomes, one is written
		return
	}
	s.updateWitness(func(now evidence) evidence {
		if fence > now.fence || now.confirmations < w.confirmations {
			names := namesOf(id)
			return evidence{filelock.Name(names[0]), fence, generation, run, w.confirmations, names[1:]}
		}
		return now
	})
}

// confirmations notes meta.confirmations.
func (s *local) confirmations(n int64) {
	s.witness.mu.Lock()
	defer s.witness.mu.Unlock()
	if s.witness.confirmations != n { // after a restore, fences may begin lower
		s.witness.greatest.Store(0)
	}
	s.witness.confirmations = n
}

// lastWitness returns the witness. Its fence is 0 without one.
func (s *local) lastWitness() evidence {
	w := &s.witness
	w.mu.Lock()
	defer w.mu.Unlock()
	if !time.Now().Before(w.until) {
		w.last, w.until = evidence{}, time.Now().Add(witnessAge)
		if f, err := s.dir.Open(witnessFile, os.O_RDONLY, 0); err == nil {
			w.last = readEvidence(f)
			_ = f.Close()
		}
		w.greatest.Store(w.last.fence)
	}
	return w.last
}

// dropWitness removes a witness that was deleted. A newer one remains.
func (s *local) dropWitness(was evidence) {
	s.witness.mu.Lock()
	defer s.witness.mu.Unlock()
	s.updateWitness(func(now evidence) evidence {
		if now.fence == was.fence && now.name == was.name {
			return evidence{}
		}
		return now
	})
}

// updateWitness replaces the witness in the file. The caller holds the mutex.
func (s *local) updateWitness(change func(now evidence) evidence) {
	w := &s.witness
	f, err := s.dir.Open(witnessFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	for range 10 { // another process has it for a moment only, unless it is stopped
		if err = lockFile(f); !errors.Is(err, errLocked) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		return
	}
	now := readEvidence(f)
	next := change(now)
	w.last, w.until = next, time.Now().Add(witnessAge)
	w.greatest.Store(max(next.fence, w.greatest.Load()))
	if next.name != now.name || next.fence != now.fence {
		_, _ = f.WriteAt(next.encode(), 0)
	}
}

// encode returns the content of the file: a line with a checksum, and blanks up to a fixed size.
func (m evidence) encode() []byte {
	line := fmt.Sprintf("%s %d %d %d run:%s %x", witnessHead, m.fence, m.generation, m.confirmations, m.run, m.name)
	for _, name := range m.above {
		line += " " + hex.EncodeToString(name)
	}
	line += fmt.Sprintf(" %08x\n", crc32.ChecksumIEEE([]byte(line)))
	return []byte(fmt.Sprintf("%-*s", witnessSize, line))
}

// readEvidence returns the witness in a file. A file that is not complete has none.
func readEvidence(f *os.File) (m evidence) {
	var content [witnessSize]byte
	n, _ := f.ReadAt(content[:], 0)
	line, _, whole := strings.Cut(string(content[:n]), "\n")
	at := strings.LastIndexByte(line, ' ')
	if !whole || at < 0 || line[at+1:] != fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(line[:at]))) {
		return m
	}
	rest, ok := strings.CutPrefix(line[:at], witnessHead+" ")
	if !ok {
		return m
	}
	if _, err := fmt.Sscan(rest, &m.fence, &m.generation, &m.confirmations, &m.run); err != nil {
		return evidence{}
	}
	m.run = strings.TrimPrefix(m.run, "run:")
	for i, field := range strings.Fields(rest)[4:] {
		name, err := hex.DecodeString(field)
		if err != nil || len(name) != len(m.name) {
			return evidence{}
		}
		if i == 0 {
			m.name = filelock.Name(name)
		} else {
			m.above = append(m.above, name)
		}
	}
	return m
}

// witness returns the name of the record, or null without one.
func (m evidence) witness() wire.Arg {
	if m.fence == 0 {
		return wire.BytesOrNull(nil)
	}
	return wire.Bytes(m.name[:])
}

// witnessed is the condition that the server has the witness of the fence n, the generation g and the
// run, whose record is the row w. The attempt or mark is the current one, or an earlier one of the
// record, or a Forget has deleted it. A greater number proves nothing: after a restore, another host
// may have run the key again. Even the same number may come again.
func witnessed(n, g, run string) string {
	return "(w.generation > " + g + " or w.seq = " + n + " and w.run_id = " + run + " and w.state <> 'running' or exists (" +
		"select 1 from {s}.attempt a where a.id = w.id and a.seq = " + n + " and a.run_id = " + run + "))"
}

// errWitnessGone: the record of the witness was deleted by a newer series of one above it.
var errWitnessGone = errors.New("the witness was deleted")

// checkWitness returns errForgotten if the server does not have the witness any more, and
// errWitnessGone if that is as it should be.
func (l *Ledger) checkWitness(ctx context.Context, m evidence) error {
	if m.fence == 0 {
		return nil
	}
	var there, newer bool
	err := l.do(ctx, wire.Read, l.witnessStmt(m, &there, &newer))
	switch {
	case err != nil || there:
		return err
	case newer:
		return errWitnessGone
	}
	return errForgotten
}

// witnessStmt looks whether the server has a witness, and whether a record above it has a newer series.
func (l *Ledger) witnessStmt(m evidence, there, newer *bool) *wire.Stmt {
	s := l.stmt("select exists (select 1 from {s}.record w where w.id = $1 and "+witnessed("$2", "$3", "$4")+
		"), exists (select 1 from {s}.record p where p.id = any ($5) and p.series > $2)",
		wire.Bytes(m.name[:]), wire.Int(m.fence), wire.Int(m.generation), wire.Text(m.run), wire.BytesArray(m.above))
	s.Each = func(row *wire.Row) error { *there, *newer = row.Bool(), row.Bool(); return nil }
	return s
}

// forgetWitness ends the doubts of this host about a server that has forgotten something: a person
// has accepted its present content. Outcomes of attempts that it has forgotten become late ones.
// It reports whether the server has forgotten the witness. id is the ledger.
func (l *Ledger) forgetWitness(ctx context.Context, id wire.UUID) (forgotten bool, err error) {
	here, err := l.openSite(id, false)
	if here == nil || err != nil {
		return false, l.explain(err)
	}
	defer here.dir.Close()
	err = l.checkWitness(ctx, here.lastWitness())
	forgotten = errors.Is(err, errForgotten)
	if err != nil && !forgotten && !errors.Is(err, errWitnessGone) {
		return false, err
	}
	if forgotten {
		if err := here.dir.Remove(witnessFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true, l.explain(err)
		}
	}
	return forgotten, l.explain(l.settlePending(ctx, here))
}
