package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// outcome is all that Finish sends. While the server does not have it, it is kept in a file of
// the directory pending, so that the outcome survives the process and the power.
type outcome struct {
	Namespace, Key, Window []byte // any bytes, which JSON would change in strings

	RunID  string
	Fence  int64
	Holder wire.UUID
	Final  bool // give the claim back with the outcome

	State       ledger.State
	Reason      ledger.Reason
	ExitCode    int
	Signal      int
	Ended       time.Time // by the clock of this host
	OutputBytes int64
	Truncated   bool
	Incomplete  bool
	Redacted    bool
	Done        int64 // see doneBy
	Files       []keptFile

	Storage int
	Size    int64
	Sum     uint32
	Chunks  int
	Inline  []byte
	Spool   bool // the output is in the file of the attempt in the directory output
	Host    []byte

	generation int64 // of the record; set when the server has the outcome
}

// keptFile is a ledger.File.
type keptFile struct {
	Name    []byte
	Place   int
	Lost    bool
	Content []byte
}

func (o *outcome) id() ledger.ID {
	return ledger.ID{Namespace: string(o.Namespace), Key: string(o.Key), Window: string(o.Window)}
}

func (o *outcome) files() []ledger.File {
	var files []ledger.File
	for _, f := range o.Files {
		files = append(files, ledger.File{Name: string(f.Name), Place: f.Place, Lost: f.Lost, Content: f.Content})
	}
	return files
}

// is reports whether an attempt has ended as o says.
func (o *outcome) is(a ledger.Attempt) bool {
	return a.RunID == o.RunID && a.State == o.State && a.Reason == o.Reason && a.ExitCode == o.ExitCode
}

const (
	pendingDir = "pending"
	// A kept outcome begins with this line, which ends with the SHA-256 of the rest.
	pendingHead = "idem outcome 1 "
	// A file that is not complete yet has a name with this beginning.
	unfinished = ".new-"
)

// pendingOf returns the end of the names of files of outcomes of a record.
func pendingOf(name filelock.Name) string { return "-" + hex.EncodeToString(name[:8]) }

// pendingName returns the name of the file of an outcome.
func pendingName(runID string, name filelock.Name) string { return runID + pendingOf(name) }

// pending returns the names of the outcomes that are kept on this host.
func (s *local) pending() (names []string, err error) {
	d, err := s.dir.Open(pendingDir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	all, err := d.Readdirnames(-1)
	for _, name := range all {
		if !strings.HasPrefix(name, unfinished) {
			names = append(names, name)
		}
	}
	return names, err
}

// keepOutcome writes an outcome durably. The file is locked until it is closed, so that no other
// process sends it at the same time.
func (s *local) keepOutcome(o *outcome) (f *os.File, err error) {
	content, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	content = append([]byte(pendingHead+hex.EncodeToString(sum[:])+"\n"), content...)
	name := pendingName(o.RunID, filelock.NameOf(o.id()))
	temporary := filepath.Join(pendingDir, unfinished+name)
	if err := s.dir.Mkdir(pendingDir); err != nil { // removed since the directory was opened, perhaps
		return nil, err
	}
	if f, err = s.dir.Create(temporary, os.O_RDWR|os.O_TRUNC); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.dir.Remove(temporary)
			_ = f.Close()
			f = nil
		}
	}()
	if err = lockFile(f); err != nil {
		return f, err
	}
	if _, err = f.Write(content); err != nil {
		return f, err
	}
	if err = f.Sync(); err != nil {
		return f, err
	}
	if err = s.dir.Rename(temporary, filepath.Join(pendingDir, name)); err != nil {
		return f, err
	}
	return f, errors.Join(s.dir.Sync(pendingDir), s.dir.Sync("."))
}

// clean removes files of processes that were killed while they wrote them.
func (s *local) clean() {
	all, _ := filepath.Glob(filepath.Join(s.dir.File(pendingDir), unfinished+"*"))
	for _, path := range all {
		name := filepath.Join(pendingDir, filepath.Base(path))
		f, err := s.dir.Open(name, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		// A writer that has no lock yet tries again.
		if lockFile(f) == nil {
			_ = s.dir.Remove(name)
		}
		_ = f.Close()
	}
}

// errLocked: another process has the outcome.
var errLocked = errors.New("another process sends the outcome")

func lockFile(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	return os.NewSyscallError("flock", err)
}

// openPending locks and reads a kept outcome. The error is fs.ErrNotExist if it has been sent,
// and errLocked while another process has it.
func (s *local) openPending(name string) (*os.File, *outcome, error) {
	path := filepath.Join(pendingDir, name)
	f, err := s.dir.Open(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	o, err := s.readPending(f, path)
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, o, nil
}

func (s *local) readPending(f *os.File, path string) (*outcome, error) {
	if err := lockFile(f); err != nil {
		return nil, err
	}
	if _, err := s.dir.Stat(path); err != nil { // sent by the process that had the lock
		return nil, err
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	o, err := parseOutcome(content)
	switch {
	case errors.Is(err, ledger.ErrCorrupt):
		return nil, s.dir.Damage(ledger.FaultKept, path, "the kept outcome "+s.dir.File(path)+" cannot be read")
	case err != nil:
		return nil, fmt.Errorf("%w: the kept outcome %s", err, s.dir.File(path))
	}
	return o, nil
}

func parseOutcome(content []byte) (*outcome, error) {
	head, text, _ := bytes.Cut(content, []byte("\n"))
	sum := sha256.Sum256(text)
	switch given, ok := strings.CutPrefix(string(head), pendingHead); {
	case !ok && bytes.HasPrefix(head, []byte("idem outcome ")):
		return nil, ledger.ErrVersion
	case !ok || given != hex.EncodeToString(sum[:]):
		return nil, ledger.ErrCorrupt
	}
	var o outcome
	if err := json.Unmarshal(text, &o); err != nil {
		return nil, ledger.ErrCorrupt
	}
	return &o, nil
}

// removePending removes a kept outcome that was sent. The caller has its lock.
func (s *local) removePending(name string) { _ = s.dir.Remove(filepath.Join(pendingDir, name)) }

// outcomeStmts returns the statements that record an outcome. The first one returns the
// end as stored, if the attempt was running until then. A success that the command has recorded
// itself stands.
func (l *Ledger) outcomeStmts(o *outcome, stored *ledger.Attempt) []*wire.Stmt {
	id, name := o.id(), nameOf(o.id())
	first := l.many(finishSQL, wire.Bytes(name), wire.Text(o.RunID), wire.Int(o.Fence), wire.Bool(o.Final), wire.ID(o.Holder),
		wire.Text(string(o.State)), wire.Text(string(o.Reason)), wire.Int(o.ExitCode), wire.Int(o.Signal), wire.Int(o.OutputBytes),
		wire.Bool(o.Truncated), wire.Bool(o.Incomplete), wire.Bool(o.Redacted), wire.Int(len(o.Files)), wire.Int(o.Storage), wire.Int(o.Size),
		wire.Int(o.Sum), wire.Int(o.Chunks), wire.BytesOrNull(o.Inline), wire.Int(o.Done), wire.Int(o.age()))
	first.Each = func(row *wire.Row) error {
		stored.Ended, stored.State, stored.Reason = row.Time(), ledger.State(row.Text()), ledger.Reason(row.Text())
		stored.ExitCode, stored.Signal = int(row.Int()), int(row.Int())
		o.generation = row.Int()
		return nil
	}
	return append([]*wire.Stmt{first}, l.fileStmts(id, o.RunID, o.files())...)
}

// age returns the microseconds since the end of the command. The clocks of hosts differ, but the
// lengths of times hardly do.
func (o *outcome) age() int64 { return max(0, time.Since(o.Ended).Microseconds()) }

// readSent looks what the server has instead of an outcome that it did not take. It returns nil
// if it has it: an answer was lost. The error is ledger.ErrLost if another run or a mark has
// taken the key over.
func (l *Ledger) readSent(ctx context.Context, here *local, o *outcome, stored *ledger.Attempt) error {
	var f family
	var m meta
	var earlier ledger.Attempt
	known, err := uuidOf(here)
	if err != nil {
		return err
	}
	history := l.stmt("select "+columnsOf("a.", attemptColumns)+" from {s}.attempt a where a.id = $1 and a.run_id = $2", wire.Bytes(nameOf(o.id())), wire.Text(o.RunID))
	history.Each = func(row *wire.Row) error { earlier, _ = scanAttempt(row); return nil }
	// The current attempt is read first: it can become an earlier one, but not the reverse.
	if err := l.session.Do(ctx, wire.Read, l.familyStmt(o.id(), &f), history, l.metaStmt(&m)); err != nil {
		return err
	}
	if m.ledger != known {
		return errOther
	}
	if err := f.resolve(); err != nil {
		return err
	}
	current := f.own.rec.Current
	o.generation = f.own.rec.Generation
	switch {
	case o.is(current):
		*stored = current
		return nil
	case o.is(earlier):
		*stored = earlier
		return nil
	case f.own.rec.Fence < o.Fence:
		return errForgotten
	case current.RunID == o.RunID && current.State == ledger.Running:
		return &wire.UnknownError{Err: errors.New("the record changed while it was read")}
	}
	return fmt.Errorf("%w (run %s)", ledger.ErrLost, o.RunID)
}

// errForgotten: the server was restored to a state before something that it had acknowledged.
var errForgotten = fmt.Errorf("%w: it has forgotten what this host had recorded", ledger.ErrFailedOver)
