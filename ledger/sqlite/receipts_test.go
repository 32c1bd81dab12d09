package sqlite

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// byReceipt returns what Get says about a record, and whether its receipt was enough.
func byReceipt(t *testing.T, place string, id ledger.ID) (ledger.Record, bool) {
	t.Helper()
	l := opened(t, place)
	rec, err := l.Get(t.Context(), id)
	must(t, err)
	return rec, l.db == nil
}

// TestReplayOpensNoDatabase checks the purpose of the receipts.
func TestReplayOpensNoDatabase(t *testing.T) {
	for name, output := range map[string][]byte{"no output": nil, "small": []byte("small\n"), "in a file": large} {
		place := fresh(t)
		runs(t, opened(t, place), theKey, "r", output, success)
		l := opened(t, place)
		rec, err := l.Get(t.Context(), theKey)
		must(t, err)
		out, err := outputOf(l, theKey, "r")
		must(t, err)
		if rec.Phase() != ledger.PhaseSucceeded || out != string(output) || l.db != nil {
			t.Errorf("%s: got %+v, %d bytes, database open %v", name, rec, len(out), l.db != nil)
		}
	}
}

// TestReceiptOfRunningKey has a receipt that counts only while the key is held.
func TestReceiptOfRunningKey(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	c, err := l.Claim(t.Context(), theKey)
	must(t, err)
	_, err = c.Begin(t.Context(), ledger.Start{RunID: "r", MaxOutput: -1})
	must(t, err)
	if rec, alone := byReceipt(t, place, theKey); rec.Phase() != ledger.PhaseRunning || !alone {
		t.Errorf("while it runs: got %+v, without the database %v", rec, alone)
	}
	must(t, c.Release())
	if rec, alone := byReceipt(t, place, theKey); rec.Phase() != ledger.PhaseInterrupted || alone {
		t.Errorf("after its holder: got %+v, without the database %v", rec, alone)
	}
}

// TestReceiptsShareASlot has two keys whose receipts are at the same offset.
func TestReceiptsShareASlot(t *testing.T) {
	first := ledger.ID{Namespace: "default", Key: "0"}
	second := first
	for n := 1; receiptOffset(numberOf(second)) != receiptOffset(numberOf(first)) || n == 1; n++ {
		second.Key = fmt.Sprint(n)
	}
	place := fresh(t)
	l := opened(t, place)
	for i, id := range []ledger.ID{first, second} {
		runs(t, l, id, fmt.Sprint("r", i), []byte(id.Key), success)
	}
	for i, id := range []ledger.ID{first, second} {
		rec, alone := byReceipt(t, place, id)
		if rec.Current.RunID != fmt.Sprint("r", i) || alone != (i == 1) {
			t.Errorf("key %s: got %+v, without the database %v", id.Key, rec, alone)
		}
	}
	must(t, l.Forget(t.Context(), first)) // leaves the receipt of the other key
	if rec, alone := byReceipt(t, place, second); rec.Phase() != ledger.PhaseSucceeded || !alone {
		t.Errorf("got %+v, without the database %v", rec, alone)
	}
}

// TestReceiptsAfterAnOlderIdem has a commit of an idem that does not know of receipts: it counts
// its commits and keeps the witness.
func TestReceiptsAfterAnOlderIdem(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	runs(t, l, theKey, "r1", nil, success)
	before, err := os.ReadFile(filepath.Join(place, receiptsName))
	must(t, err)
	must(t, l.Forget(t.Context(), theKey))
	must(t, os.WriteFile(filepath.Join(place, receiptsName), before, 0o600))
	if rec, _ := byReceipt(t, place, theKey); rec.Phase() != ledger.PhaseNone {
		t.Errorf("got %+v", rec)
	}
	other := ledger.ID{Key: "other"}
	runs(t, opened(t, place), other, "r2", nil, success)
	if rec, alone := byReceipt(t, place, theKey); rec.Phase() != ledger.PhaseNone || alone {
		t.Errorf("after the next writer: got %+v, without the database %v", rec, alone)
	}
	if rec, alone := byReceipt(t, place, other); rec.Phase() != ledger.PhaseSucceeded || !alone {
		t.Errorf("the next writer: got %+v, without the database %v", rec, alone)
	}
}

// TestReceiptsThatAreNoFile has something else in place of the file.
func TestReceiptsThatAreNoFile(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a pipe":      func(path string) error { return unix.Mkfifo(path, 0o600) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"a link":      func(path string) error { return os.Symlink("ledger.db", path) },
		"a text":      func(path string) error { return os.WriteFile(path, []byte("a text\n"), 0o600) },
		"unreadable":  func(path string) error { return os.WriteFile(path, nil, 0) },
	} {
		place := made(t)
		path := filepath.Join(place, receiptsName)
		must(t, os.Remove(path))
		must(t, put(path))
		if rec, alone := byReceipt(t, place, theKey); rec.Phase() != ledger.PhaseSucceeded || alone {
			t.Errorf("%s: got %+v, without the database %v", name, rec, alone)
		}
		other := ledger.ID{Key: "other"}
		runs(t, opened(t, place), other, "r4", nil, success)
		if rec, _ := byReceipt(t, place, other); rec.Phase() != ledger.PhaseSucceeded {
			t.Errorf("%s: got %+v", name, rec)
		}
		if _, wrong, err := opened(t, place).wrongReceipts(t.Context()); len(wrong) > 0 || err != nil {
			t.Errorf("%s: got %+v, %v", name, wrong, err)
		}
	}
}

// TestReceiptIsWhole makes random receipts and reads them back. Each is read as it was written, or the
// receipt is refused: Decide gets the same record from both ways.
func TestReceiptIsWhole(t *testing.T) {
	rounds := 1_000_000
	if testing.Short() {
		rounds = 20_000
	}
	r := rand.New(rand.NewPCG(1, 2))
	written, refused := 0, 0
	for range rounds {
		want := randomReceipt(r)
		b, ok := want.encode()
		if !ok {
			refused++
			continue
		}
		written++
		got, _, ok := decodeReceipt(b)
		want.record.rec.Current = want.attempt.a
		want.record.stored = want.record.checksum()
		if !ok || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v\n%+v\nwant\n%+v", ok, got, want)
		}
		b = b[:receiptHead+int(binary.BigEndian.Uint32(b[4:]))+checkSize] // zeros follow
		if _, _, ok := decodeReceipt(b[:r.IntN(len(b))]); ok {
			t.Fatalf("a part of a receipt was accepted: %+v", want)
		}
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		if _, _, ok := decodeReceipt(b); ok {
			t.Fatalf("a damaged receipt was accepted: %+v", want)
		}
	}
	if written < rounds/4 || refused < rounds/100 {
		t.Errorf("%d written, %d refused", written, refused)
	}
}

func randomReceipt(r *rand.Rand) receipt {
	text := func(most int) string {
		b := make([]byte, r.IntN(most))
		for i := range b {
			b[i] = "aä/\x00\xff\n ="[r.IntN(9)]
		}
		return string(b)
	}
	number := func() int64 { return r.Int64() >> r.IntN(63) }
	at := func() time.Time { return fromMicros(number() >> 10) }
	flag := func() bool { return r.IntN(2) == 0 }
	some := func(b []byte) []byte {
		if len(b) == 0 {
			return nil
		}
		return b
	}
	id := ledger.ID{Namespace: text(5), Key: text(40), Window: text(10)}
	c := receipt{record: recordRow{rowid: numberOf(id), current: number(), rec: ledger.Record{
		ID: id, Generation: number(), Fence: number(), Attempts: int(number()), Series: number() * int64(r.IntN(2)),
	}}}
	c.record.kin.floor = number() * int64(r.IntN(2))
	if r.IntN(20) == 0 {
		c.record.kin.parent = number()
	}
	states := []ledger.State{ledger.Succeeded, ledger.Succeeded, ledger.Succeeded, ledger.Running, ledger.Failed, ledger.None, ledger.Batch}
	c.attempt = attemptRow{rowid: c.record.current, record: c.record.rowid, a: ledger.Attempt{
		Number: int(number()), RunID: text(40), State: states[r.IntN(len(states))], Reason: ledger.ReasonExit,
		ExitCode: r.IntN(256), Signal: r.IntN(64), Started: at(), Ended: at(), Fingerprint: text(70), Inputs: some([]byte(text(300))),
		Owner: ledger.Owner{Host: text(20), PID: int(number()), User: text(10)}, Note: text(20), OutputBytes: number(),
		Truncated: flag(), Incomplete: flag(), Redacted: flag(), Files: r.IntN(3), ParentRun: text(3),
	}}
	a := &c.attempt
	switch a.storage = r.IntN(6); a.storage {
	case storageInline:
		c.frames = some([]byte(text(2000 << (2 * r.IntN(2)))))
		a.size, a.sum = int64(len(c.frames)), r.Uint32()
	case storageFile:
		a.size, a.sum = number(), r.Uint32()
	case storageRefused:
		a.a.NoOutput = true
	case storageRemoved:
		a.setRemoved(at())
	}
	return c
}
