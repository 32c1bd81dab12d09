package sqlite

import (
	"bytes"
	"context"
	"errors"
	"reflect"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// receipts compares the receipts with the records.
func (c *checker) receipts(ctx context.Context) error {
	if c.quick {
		return nil
	}
	n, wrong, err := c.ledger.wrongReceipts(ctx)
	if err != nil {
		return err
	}
	for _, r := range wrong {
		c.Add(ledger.LevelFault, "receipts", "%s: its receipt is not what the record says", keyText(r.record.rec.ID)).
			SetHint("remove %s: it is a cache", c.ledger.dir.File(receiptsName))
	}
	if n > 0 && len(wrong) == 0 {
		c.Add(ledger.LevelOK, "receipts", "%d, each is what its record says", n)
	}
	return nil
}

// wrongReceipts returns how many receipts of successes are in use, and those that are not what
// ledger.db says. Other calls may go on at the same time.
func (l *Ledger) wrongReceipts(ctx context.Context) (n int, wrong []receipt, err error) {
	f, ok := l.openReceipts()
	if !ok {
		return 0, nil, nil
	}
	defer f.Close()
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return 0, nil, err
	}
	for at := int64(receiptSize); at < receiptsEnd; at += receiptSize {
		switch data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA); {
		case errors.Is(err, unix.ENXIO): // the rest is a hole
			return n, wrong, nil
		case err == nil:
			at = max(at, data/receiptSize*receiptSize)
		}
		b := make([]byte, receiptSize)
		for {
			size, _ := f.ReadAt(b, at)
			r, _, ok := decodeReceipt(b[:size])
			if !ok || r.attempt.a.State != ledger.Succeeded || r.isStale(f) {
				break
			}
			right, err := l.agrees(ctx, db, r)
			if err != nil {
				return n, wrong, err
			}
			// A transaction erases a receipt before its commit. So if the receipt is still there
			// after the record was read, both were there at the same time.
			again := make([]byte, size)
			if m, _ := f.ReadAt(again, at); !bytes.Equal(again[:m], b[:size]) {
				continue
			}
			if n++; !right {
				wrong = append(wrong, r)
			}
			break
		}
	}
	return n, wrong, nil
}

// agrees reports whether a receipt is what ledger.db says. A damaged record has its own line.
func (l *Ledger) agrees(ctx context.Context, db *database, r receipt) (bool, error) {
	id := r.record.rec.ID
	now, a, err := readBoth(ctx, db, id)
	if errors.Is(l.classify(err), ledger.ErrCorrupt) {
		return true, nil
	}
	rest, was := now.rec, r.record.rec
	rest.Current, was.Current = ledger.Attempt{}, ledger.Attempt{}
	return now.current == r.record.current && reflect.DeepEqual(rest, was) && a.checksum(id) == r.attempt.checksum(id), err
}
