package spool_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"idem/ledger"
	"idem/ledger/spool"
)

// A small output stays in memory: the ledger stores the bytes next to the record,
// and the function that makes a file is not called.
func Example() {
	noFile := func() (*os.File, error) { return nil, errors.New("not needed") }
	w := spool.NewWriter(-1, time.Now(), noFile)
	w.Write(ledger.Stdout, []byte("charged 4711\n"))
	w.Write(ledger.Stderr, []byte("warning: slow\n"))
	kept, err := w.Close(true)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(kept.Bytes, "bytes, truncated:", kept.Truncated)

	r := spool.OpenInline(kept.Inline, kept.Sum)
	defer r.Close()
	for {
		chunk, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d: %s", chunk.Stream, chunk.Bytes)
	}
	// Output:
	// 27 bytes, truncated: false
	// 1: charged 4711
	// 2: warning: slow
}
