package transfer

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/ledgertest"
)

// kit has a ledger in memory.
type kit struct {
	testing.TB
	ctx context.Context
	l   ledger.Ledger
}

func newKit(t testing.TB) kit { return kit{t, t.Context(), ledgertest.NewMem().Open()} }

func (k kit) ok(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func key(name string) ledger.ID { return ledger.ID{Namespace: "default", Key: name} }

func newRunID() string { return uuid.Must(uuid.NewV7()).String() }

// run makes one attempt.
func (k kit) run(id ledger.ID, s ledger.Start, o ledger.Outcome, out ...string) {
	k.Helper()
	c, err := k.l.Claim(k.ctx, id)
	k.ok(err)
	s.RunID, s.Owner, s.MaxOutput = newRunID(), ledger.Owner{Host: "h\xff", PID: 7, User: "zoë"}, -1
	x, err := c.Begin(k.ctx, s)
	k.ok(err)
	for i, text := range out {
		x.Write(ledger.Stdout+ledger.Stream(i%2), []byte(text))
	}
	if o.State != ledger.Running {
		_, err = x.Finish(k.ctx, o)
		k.ok(err)
	}
	k.ok(c.Release())
}

var (
	success = ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit}
	failure = ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 3}
	lost    = ledger.Outcome{State: ledger.Running}
)

// fill records keys of all kinds.
func (k kit) fill() {
	k.Helper()
	in := hashkey.Inputs{
		{Kind: hashkey.KindArg, Value: []byte("./pay <&> \u2028")},
		{Kind: hashkey.KindArg, Value: []byte("\xff\x00")},
		{Kind: hashkey.KindEnv, Name: "TOKEN", Value: hashkey.Present(make([]byte, 32))},
	}
	s := ledger.Start{Fingerprint: in.Fingerprint(), Inputs: in.Encode()}
	k.run(key("a"), s, failure, "tried\n")
	k.run(key("a"), s, ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit, Files: []ledger.File{
		{Name: "log", Content: []byte(strings.Repeat("line\n", 2000))}, {Name: "empty\xff", Place: 2, Lost: true},
	}}, strings.Repeat("x", 20<<10), "err\xff", "done\n")
	k.run(key("forgotten"), s, success)
	k.ok(k.l.Forget(k.ctx, key("forgotten")))
	k.run(key("interrupted"), ledger.Start{}, lost, "so far")
	p := ledger.ID{Namespace: "prod", Key: "batch", Window: "2026-W47"}
	k.run(p, s, failure)
	for _, name := range []string{"x", "y"} {
		child := p
		child.Key += "/" + name
		k.run(child, ledger.Start{Origin: ledger.Origin{Parent: p, RunID: newRunID()}}, success, name)
	}
	k.ok(k.l.Forget(k.ctx, p))
	k.run(p, s, success)
	child := p
	child.Key += "/y"
	k.run(child, ledger.Start{Origin: ledger.Origin{Parent: p}}, failure, "again")
	c, err := k.l.Claim(k.ctx, key("marked"))
	k.ok(err)
	_, err = c.Mark(k.ctx, ledger.Mark{
		Expect: ledger.Record{Generation: 1}, State: ledger.Succeeded, Reason: ledger.ReasonMarked, RunID: newRunID(), Note: "by hand\n",
	})
	k.ok(err)
	k.ok(c.Release())
}

var header = Header{Idem: "test", Exported: time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC), Outputs: true}

func (k kit) export() []byte {
	k.Helper()
	var b bytes.Buffer
	_, err := Export(k.ctx, k.l, &b, ExportOptions{Header: header})
	k.ok(err)
	return b.Bytes()
}

// importAll stores an export.
func (k kit) importAll(file []byte, how Conflict) (Summary, error) {
	k.Helper()
	i, err := NewImporter(bytes.NewReader(file))
	if err != nil {
		return Summary{}, err
	}
	return i.Import(k.ctx, k.l, ImportOptions{OnConflict: how, Refused: func(ledger.Record, ledger.Record, error) {}})
}
