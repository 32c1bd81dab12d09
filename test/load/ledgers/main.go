// Ledgers works directly on a ledger, because load cannot do this with calls of idem:
//
//	ledgers fill DIR FROM TO   makes the keys FROM to TO-1, which succeeded
//	ledgers hold LEDGER.DB     keeps a read transaction open until its stdin ends
//
// It is a separate program, because load starts itself in its measurements and must not
// link SQLite.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/sqlite"
)

func main() {
	err := errors.New("usage: ledgers fill DIR FROM TO | ledgers hold LEDGER.DB")
	switch args := os.Args[1:]; {
	case len(args) == 4 && args[0] == "fill":
		err = fill(args[1], args[2], args[3])
	case len(args) == 2 && args[0] == "hold":
		err = hold(args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ledgers:", err)
		os.Exit(1)
	}
}

// fill makes the records that calls of idem run --key size:N -- true would make, but each
// with a line of output.
func fill(dir, from, to string) error {
	first, err := strconv.Atoi(from)
	end, err2 := strconv.Atoi(to)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	l, err := sqlite.Open(dir)
	if err != nil {
		return err
	}
	defer l.Close()
	inputs := hashkey.Argv([]string{"true"}).Canonical()
	start := ledger.Start{
		Fingerprint: inputs.Fingerprint(), Inputs: inputs.Encode(), MaxOutput: -1,
		Owner: ledger.Owner{Host: "host", PID: os.Getpid(), User: "user"},
	}
	// Runs at the same time share commits, which is several times as fast.
	const atOnce = 64
	defer l.Sustain()()
	var next atomic.Int64
	next.Store(int64(first))
	errs := make([]error, atOnce)
	var wg sync.WaitGroup
	for g := range atOnce {
		wg.Go(func() {
			start := start
			for i := next.Add(1) - 1; i < int64(end) && errs[g] == nil; i = next.Add(1) - 1 {
				start.RunID = uuid.Must(uuid.NewV7()).String()
				errs[g] = run(l, ledger.ID{Namespace: "default", Key: fmt.Sprintf("size:%d", i)}, start)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func run(l ledger.Ledger, id ledger.ID, start ledger.Start) error {
	ctx := context.Background()
	c, err := l.Claim(ctx, id)
	if err != nil {
		return err
	}
	e, err := c.Begin(ctx, start)
	if err != nil {
		return err
	}
	e.Write(ledger.Stdout, []byte("output of "+id.Key+"\n"))
	if _, err := e.Finish(ctx, ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit}); err != nil {
		return err
	}
	return c.Release()
}

// hold prints "held" once its transaction has a snapshot.
func hold(path string) error {
	uri := url.URL{Scheme: "file", Path: path, RawQuery: "mode=rw"}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var n int
	if err := tx.QueryRow("select count(*) from records").Scan(&n); err != nil {
		return err
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
