package cmd_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/drivers"
)

// cmdItems records items of a batch, as idem each does: items KEY STATE ITEM... The states
// are succeeded, failed, interrupted, and running until the end of the script. An ITEM
// 1..N stands for N items, and one that begins with go: has the escapes of a Go string.
func cmdItems(ts *testscript.TestScript, args []string) {
	place := ts.Getenv("IDEM_LEDGER")
	if shared, p := scriptShared(ts); p != nil {
		place = p.inside(shared)
	}
	l, err := drivers.Open(place, drivers.Options{LocalBase: filepath.Join(ts.Getenv("STATE_DIRECTORY"), "idem")})
	ts.Check(err)
	batch := ledger.ID{Namespace: "default", Key: args[0]}
	recordBatch(ts, l, batch)
	items, together := itemsOf(ts, args[2:]), 1
	if len(items) > 100 { // the order does not matter then
		together = 256
	}
	for group := range slices.Chunk(items, together) {
		var changes []func(context.Context)
		errs := make(chan error, len(group))
		for _, item := range group {
			changes = append(changes, func(context.Context) { errs <- recordItem(ts, l, batch, ledger.State(args[1]), item) })
		}
		ledger.Together(context.Background(), l, changes...)
		for range group {
			ts.Check(<-errs)
		}
	}
	if args[1] != string(ledger.Running) {
		ts.Check(l.Close())
	}
}

func itemsOf(ts *testscript.TestScript, args []string) (items []string) {
	for _, arg := range args {
		if first, last, ok := strings.Cut(arg, ".."); ok && first == "1" {
			n, err := strconv.Atoi(last)
			ts.Check(err)
			for i := range n {
				items = append(items, strconv.Itoa(i+1))
			}
			continue
		}
		if text, ok := strings.CutPrefix(arg, "go:"); ok {
			item, err := strconv.Unquote(`"` + text + `"`)
			ts.Check(err)
			arg = item
		}
		items = append(items, arg)
	}
	return items
}

func recordBatch(ts *testscript.TestScript, l ledger.Ledger, batch ledger.ID) {
	ctx := context.Background()
	c, err := l.Claim(ctx, batch)
	ts.Check(err)
	defer c.Release()
	was, err := c.Record(ctx)
	ts.Check(err)
	in := hashkey.Argv([]string{"./do", "{}"})
	_, err = c.Mark(ctx, ledger.Mark{
		Expect: was, State: ledger.Batch, RunID: newTestRunID(), Fingerprint: in.Fingerprint(), Inputs: in.Encode(),
	})
	ts.Check(err)
}

func newTestRunID() string { return uuid.Must(uuid.NewV7()).String() }

// recordItem makes an attempt of an item. Its input is a constant, or its bytes if its name
// is a hash.
func recordItem(ts *testscript.TestScript, l ledger.Ledger, batch ledger.ID, state ledger.State, item string) error {
	ctx := context.Background()
	id, in := batch, hashkey.Inputs{{Kind: hashkey.KindValue, Name: "items", Value: []byte("1")}}
	id.Key += "/" + item
	if hashkey.CheckPath(id.Key) != nil || strings.HasPrefix(item, "~") || strings.TrimSpace(item) != item {
		sum := sha256.Sum256([]byte(item))
		id.Key = batch.Key + "/~" + hex.EncodeToString(sum[:])
		in = append(in, hashkey.Part{Kind: hashkey.KindValue, Name: "item", Value: []byte(item)})
	}
	c, err := l.Claim(ctx, id)
	if err != nil {
		return err
	}
	x, err := c.Begin(ctx, ledger.Start{
		RunID: newTestRunID(), Fingerprint: in.Fingerprint(), Inputs: in.Encode(), Origin: ledger.Origin{Parent: batch},
		Owner: ledger.Owner{Host: "host", PID: os.Getpid(), User: "user"}, MaxOutput: -1,
	})
	if err != nil {
		return err
	}
	switch state {
	case ledger.Running:
		ts.Defer(func() { _ = c.Release() })
		return nil
	case ledger.Succeeded, ledger.Failed:
		x.Write(ledger.Stdout, []byte("out of "+item+"\n"))
		code := map[ledger.State]int{ledger.Failed: 3}[state]
		if _, err := x.Finish(ctx, ledger.Outcome{State: state, Reason: ledger.ReasonExit, ExitCode: code}); err != nil {
			return err
		}
	}
	return c.Release() // without an end, the item is interrupted
}
