package sqlite

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"

	"idem/ledger"
)

// TestPutLeavesOrphansOnly: a kill -9 leaves output files that a gc knows as such. Here, an error of
// the caller's file stands for the last moment before the kill.
func TestPutLeavesOrphansOnly(t *testing.T) {
	l := opened(t, fresh(t))
	id := ledger.ID{Namespace: "default", Key: "a"}
	c, err := l.Claim(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	run := uuid.Must(uuid.NewV7()).String()
	pieces := []ledger.Piece{
		{Attempt: &ledger.Attempt{RunID: run, Number: 1, State: ledger.Succeeded, Reason: ledger.ReasonExit, Started: time.Now()}},
		{Chunk: &ledger.Chunk{Stream: ledger.Stdout, Bytes: bytes.Repeat([]byte("x"), 200<<10)}},
	}
	end := errors.New("the end")
	files := func() []os.DirEntry {
		t.Helper()
		files, err := os.ReadDir(l.dir.File("output"))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	next := func() (ledger.Piece, error) {
		if len(pieces) > 0 {
			p := pieces[0]
			pieces = pieces[1:]
			return p, nil
		}
		for _, f := range files() {
			if _, ok := ledger.RunTime(f.Name()); !ok || f.Name() == run {
				t.Errorf("output/ has %q, want the name of a new run", f.Name())
			}
		}
		if n := len(files()); n != 1 {
			t.Errorf("output/ has %d files, want 1", n)
		}
		return ledger.Piece{}, end
	}
	err = c.(ledger.Receiving).Put(t.Context(), ledger.Import{Expect: ledger.Record{ID: id, Generation: 1}, Generation: 1, Next: next})
	if !errors.Is(err, end) {
		t.Errorf("got error %v, want %v", err, end)
	}
	if n := len(files()); n != 0 {
		t.Errorf("after an error, output/ has %d files, want none", n)
	}
}
