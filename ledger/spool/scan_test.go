package spool

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"idem/ledger"
)

// TestScan compares with the summary of a writer, whatever follows the last frame.
func TestScan(t *testing.T) {
	for _, after := range []string{"", "x", "a torn header", string(make([]byte, 100))} {
		path := filepath.Join(t.TempDir(), "spool")
		w := NewWriter(-1, time.Now(), func() (*os.File, error) { return os.Create(path) })
		for range 3 {
			w.Write(ledger.Stdout, make([]byte, 40<<10))
			w.Write(ledger.Stderr, []byte("x"))
		}
		written := w.Written()
		sum, err := w.Close(false)
		if err != nil || written != sum.Size {
			t.Fatalf("written: got %d, want %d; %v", written, sum.Size, err)
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(after); err != nil {
			t.Fatal(err)
		}
		size, headers, err := Scan(f)
		if err != nil || size != sum.Size || headers != sum.Sum {
			t.Errorf("after %q: got %d, %x, %v; want %d, %x", after, size, headers, err, sum.Size, sum.Sum)
		}
		if err := f.Truncate(sum.Size - 10); err != nil { // within the last frame
			t.Fatal(err)
		}
		if size, _, err = Scan(f); err != nil || size >= sum.Size || size == 0 {
			t.Errorf("a torn frame: got %d, %v, want less than %d", size, err, sum.Size)
		}
	}
}
