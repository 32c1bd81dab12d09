package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"idem/internal/failpoint"
	"idem/ledger/localdir"
)

// The file receipts is a cache next to locks. It answers Get for a record that runs or has
// succeeded, so a replay need not open SQLite, which takes longer than the rest of the call. A
// receipt says what ledger.db said, or it is not used:
//
//   - Never stale. A transaction that changes a record erases its receipt before the commit, and
//     syncs the file if the record was a success. A receipt is written after the commit,
//     in the same turn, and is not synced. So a success without a receipt is possible, but no
//     receipt of a success that has been replaced, also after a power cut.
//   - Never torn. A checksum covers each receipt and its name.
//   - Never of another ledger or time. The stamp at the start of the file says how many commits
//     there were and what ledger.db and its -wal looked like after the last one. A reader requires
//     that they look the same and that the witness counts the same commits. A writer that finds
//     another number of commits in ledger.db than in the stamp empties the file first. So
//     receipts mean nothing after a commit of an idem that does not know of them, beside a
//     restored ledger.db, or when they were restored themselves.
//
// The file is sparse: receiptSlots slots of receiptSize bytes after the page of the stamp. Two
// records may share a slot, and the later receipt replaces the earlier one.
const (
	receiptsName = "receipts"
	receiptSize  = 4 << 10
	receiptSlots = 1 << 15
	receiptsEnd  = receiptSize * (1 + receiptSlots)
)

// receiptOffset returns where the receipt of a record is in the file.
func receiptOffset(number int64) int64 { return receiptSize * (1 + number%receiptSlots) }

// touched is a record that a transaction changes.
type touched struct {
	number int64 // of its row
	done   bool  // it may have been a success
}

// receipts is the file as a writer uses it. Every method is called during a turn of the writer,
// and from begin to erase inside of its transaction.
type receipts struct {
	dir     *localdir.Dir
	version int // of the tables
	file    *os.File

	commits int64 // the number of commits so far
	sound   bool  // see begin
	failed  error // of open
	foreign bool  // the file may have receipts that are not those of the ledger after commits
	touched []touched
	kept    []receipt
}

// begin prepares for a transaction after a number of commits. sound reports whether the ledger has
// locks, and has lost no commits.
func (r *receipts) begin(commits int64, sound bool) {
	r.touched, r.kept = r.touched[:0], r.kept[:0]
	r.commits, r.sound, r.foreign = commits, sound && fitsLimit(), true
	if r.failed = r.open(); r.failed != nil || r.file == nil {
		return
	}
	s, written := readStamp(r.file)
	if !written {
		r.foreign = false
	} else if r.sound && s.commits == commits && s.version == r.version {
		database, err := r.dir.Look("ledger.db")
		r.foreign = err != nil || database.Inode != s.database.Inode
	}
}

// fitsLimit reports whether this process may write the whole file. A write beyond the limit on
// the size of files raises SIGXFSZ.
func fitsLimit() bool {
	var limit unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) == nil && limit.Cur >= receiptsEnd
}

// open opens the file, unless there is none.
func (r *receipts) open() error {
	if r.file != nil {
		is, err := r.dir.Stat(receiptsName)
		info, e := r.file.Stat()
		if err == nil && e == nil && localdir.IdentityOf(info) == is {
			return nil
		}
		r.close()
	}
	f, err := r.dir.Open(receiptsName, os.O_RDWR|unix.O_NONBLOCK, 0) // it may be a pipe
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		r.file = f
	}
	return err
}

func (r *receipts) close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

// empty removes all receipts.
func (r *receipts) empty() error {
	// Without the sync, a power cut could bring receipts back, and the next stamp would make them
	// valid.
	if r.file.Truncate(0) == nil && r.file.Sync() == nil {
		failpoint.Here("receipts.emptied")
		r.foreign = false
		return nil
	}
	return r.remove()
}

// remove removes the file, which cannot be emptied.
func (r *receipts) remove() error {
	r.close()
	err := r.dir.Remove(receiptsName)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) && r.isDirectory() {
		return nil // no process can read it
	}
	return errors.Join(err, r.dir.Sync("."))
}

func (r *receipts) isDirectory() bool {
	info, err := os.Lstat(r.dir.File(receiptsName))
	return err == nil && info.IsDir()
}

// touch records that the transaction changes a record.
func (r *receipts) touch(number int64, done bool) {
	r.touched = append(r.touched, touched{number, done})
}

// keep records that the transaction makes a record what a receipt says.
func (r *receipts) keep(c receipt) { r.kept = append(r.kept, c) }

// erase erases the receipts of the records that the transaction changes, or all if they are not
// those of this ledger at this moment. The transaction is committed next. After an error, it must
// not be.
func (r *receipts) erase() error {
	switch {
	case r.failed != nil:
		return r.remove()
	case r.file == nil:
		return nil
	case r.foreign:
		return r.empty()
	}
	sync, err := false, error(nil)
	for _, t := range r.touched {
		var head [receiptHead]byte
		if _, e := r.file.ReadAt(head[:], receiptOffset(t.number)); errors.Is(e, io.EOF) {
			continue
		} else if e != nil {
			err = e
			break
		}
		// A later receipt may have taken the slot, and need not be on the disk yet.
		sync = sync || t.done
		kind, of := headOf(head[:])
		if kind == receiptNone || of != t.number {
			continue
		}
		// All of it, because forgotten data must not stay on the disk.
		if _, err = r.file.WriteAt(make([]byte, receiptSize), receiptOffset(t.number)); err != nil {
			break
		}
		sync = sync || kind != receiptRunning // see Ledger.fromReceipt
	}
	if err == nil && sync {
		failpoint.Here("receipts.erased")
		err = r.file.Sync()
		failpoint.Here("receipts.synced")
	}
	if err != nil {
		return r.empty()
	}
	return nil
}

// write writes the receipts of the transaction, which was committed, as the commit with this
// number. Without the space for a receipt, there is none.
func (r *receipts) write(commits int64) {
	r.commits = commits
	if !r.sound || r.foreign && r.file != nil || len(r.kept) == 0 || r.file == nil && !r.create() {
		return
	}
	for _, c := range r.kept {
		if b, ok := c.encode(); ok {
			_, _ = r.file.WriteAt(b, receiptOffset(c.record.rowid))
		}
	}
	failpoint.Here("receipts.written")
}

func (r *receipts) create() bool {
	f, err := r.dir.Create(receiptsName, os.O_RDWR|os.O_EXCL)
	if err != nil {
		return false
	}
	r.file, r.foreign = f, false
	return true
}

// stamp makes the receipts valid, after the last change to ledger.db and its -wal in a turn.
func (r *receipts) stamp() {
	if !r.sound || r.foreign || r.file == nil {
		return
	}
	s := stamp{version: r.version, commits: r.commits}
	var err, e error
	s.database, err = r.dir.Look("ledger.db")
	s.wal, e = r.dir.Look(walName)
	if err == nil && e == nil {
		_, _ = r.file.WriteAt(s.encode(), 0)
		failpoint.Here("receipts.stamped")
	}
}

// stamp is the start of the file.
type stamp struct {
	version       int // of the tables
	commits       int64
	database, wal localdir.Look
}

const (
	stampMagic = "idem receipts 1\n"
	stampSize  = len(stampMagic) + 8*8 + checkSize
	checkSize  = 16 // of a SHA-256
)

func (s stamp) encode() []byte {
	b := []byte(stampMagic)
	for _, n := range []int64{
		int64(s.version), s.commits,
		int64(s.database.Inode), s.database.Size, s.database.Modified, int64(s.wal.Inode), s.wal.Size, s.wal.Modified,
	} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return appendCheck(b)
}

func appendCheck(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b, sum[:checkSize]...)
}

// checked returns b without its checksum, and reports whether that fits.
func checked(b []byte) ([]byte, bool) {
	if len(b) < checkSize {
		return nil, false
	}
	content := b[:len(b)-checkSize]
	sum := sha256.Sum256(content)
	return content, bytes.Equal(sum[:checkSize], b[len(content):])
}

// readStamp reads the stamp of a file. Without a valid one, the number of commits is -1. written
// reports whether the file has any content.
func readStamp(f *os.File) (s stamp, written bool) {
	var b [stampSize]byte
	s.commits = -1
	n, err := f.ReadAt(b[:], 0)
	if err != nil {
		return s, n > 0 || !errors.Is(err, io.EOF)
	}
	content, ok := checked(b[:])
	if !ok || !bytes.HasPrefix(content, []byte(stampMagic)) {
		return s, true
	}
	var numbers [8]int64
	for i := range numbers {
		numbers[i] = int64(binary.BigEndian.Uint64(content[len(stampMagic)+8*i:]))
	}
	s.version, s.commits = int(numbers[0]), numbers[1]
	s.database = localdir.Look{Inode: uint64(numbers[2]), Size: numbers[3], Modified: numbers[4]}
	s.wal = localdir.Look{Inode: uint64(numbers[5]), Size: numbers[6], Modified: numbers[7]}
	return s, true
}

// restamp makes the receipts valid again after a checkpoint outside of a writer's turn. The caller
// holds l.mu.
func (l *Ledger) restamp() {
	if l.db == nil || !l.writable.Load() {
		return
	}
	queue, err := l.locks.Queue()
	if err != nil {
		return
	}
	t := &turn{queue}
	defer t.end()
	commits, err := commitsOf(context.Background(), l.db)
	if err == nil {
		l.receipts.begin(commits, t.missing(commits) == nil)
		l.receipts.stamp()
	}
}
