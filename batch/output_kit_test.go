package batch

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

// rig is a printer whose output is read from pipes.
type rig struct {
	*testing.T
	*Printer
	ledger ledger.Ledger
	outs   [2]*reading
	w      [2]*os.File
	runs   int
}

// reading reads a pipe to its end. It begins when it is told to.
type reading struct {
	r    *os.File
	mu   sync.Mutex
	more sync.Cond
	got  bytes.Buffer
	over bool
}

func (r *reading) begin() {
	go func() {
		b := make([]byte, 64<<10)
		for {
			n, err := r.r.Read(b)
			r.mu.Lock()
			r.got.Write(b[:n])
			r.over = err != nil
			r.more.Broadcast()
			r.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
}

// until returns what was read when it ends with suffix. Without, it waits for the end.
func (r *reading) until(suffix string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.over && (suffix == "" || !bytes.HasSuffix(r.got.Bytes(), []byte(suffix))) {
		r.more.Wait()
	}
	return r.got.String()
}

// length returns what was read when it has at least n bytes.
func (r *reading) length(n int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.over && r.got.Len() < n {
		r.more.Wait()
	}
	return r.got.String()
}

// newRig returns a rig with little memory. Its readers have begun unless slow is set.
func newRig(t *testing.T, o PrinterOptions, slow bool) *rig {
	t.Helper()
	k := &rig{T: t, ledger: ledgertest.NewMem().Open()}
	for i := range k.outs {
		r, w, err := os.Pipe()
		must(t, err)
		t.Cleanup(func() { r.Close(); w.Close() })
		k.outs[i], k.w[i] = &reading{r: r}, w
		k.outs[i].more.L = &k.outs[i].mu
		if !slow {
			k.outs[i].begin()
		}
	}
	o.Ledger, o.Screen = k.ledger, NewScreen(ScreenOptions{Stdout: k.w[0], Stderr: k.w[1]})
	k.Printer = NewPrinter(o)
	k.Printer.most = 2 << 20
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// all closes the printer and returns its report and all output.
func (k *rig) all() (r Report, stdout, stderr string) {
	k.Helper()
	r = k.Close(context.Background())
	k.w[0].Close()
	k.w[1].Close()
	return r, k.outs[0].until(""), k.outs[1].until("")
}

// want closes the printer and compares all output.
func (k *rig) want(stdout, stderr string) Report {
	k.Helper()
	r, out, errOut := k.all()
	same(k, "stdout", out, stdout)
	same(k, "stderr", errOut, stderr)
	if k.used != 0 || k.places != 0 || k.first != nil || k.last != nil {
		k.Errorf("%d bytes and %d places are still used", k.used, k.places)
	}
	return r
}

func same(t testing.TB, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	show := func(s string) string { return fmt.Sprintf("%.60q", s[max(0, n-10):]) }
	t.Errorf("%s has %d bytes, want %d; from byte %d: %s, want %s", what, len(got), len(want), max(0, n-10), show(got), show(want))
}

// item is an item with an attempt in the ledger.
type item struct {
	*Item
	k     *rig
	id    ledger.ID
	claim ledger.Claim
	run   ledger.Execution
}

func idOf(name string) ledger.ID { return ledger.ID{Namespace: "default", Key: "k/" + name} }

func (k *rig) item(name string) *item {
	it := &item{k: k, id: idOf(name)}
	it.Item = k.Item(it.id, "")
	return it
}

// attempt begins an attempt that keeps at most so many bytes.
func (it *item) attempt(most int64) *item {
	it.k.Helper()
	ctx := context.Background()
	var err error
	if it.claim == nil {
		it.claim, err = it.k.ledger.Claim(ctx, it.id)
		must(it.k, err)
	}
	it.k.runs++
	run := fmt.Sprint("run", it.k.runs)
	it.run, err = it.claim.Begin(ctx, ledger.Start{RunID: run, Fingerprint: "f", MaxOutput: most})
	must(it.k, err)
	it.Attempt(run, most)
	return it
}

func (it *item) out(text string) *item { return it.both(ledger.Stdout, text) }
func (it *item) err(text string) *item { return it.both(ledger.Stderr, text) }

func (it *item) both(s ledger.Stream, text string) *item {
	it.run.Write(s, []byte(text))
	it.Write(s, []byte(text))
	return it
}

// finish records the outcome of the attempt.
func (it *item) finish(exit int) *item {
	it.k.Helper()
	o := ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit, ExitCode: exit}
	if exit != 0 {
		o.State = ledger.Failed
	}
	_, err := it.run.Finish(context.Background(), o)
	must(it.k, err)
	return it
}

// end ends the item with an exit status.
func (it *item) end(exit int) {
	it.k.Helper()
	it.finish(exit)
	must(it.k, it.claim.Release())
	it.End(exit != 0)
}

// memory returns the memory that is used for held output, and the part that is known where
// garbage is collected.
func (k *rig) memory() (used, told int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.used, k.told
}
