package transfer

import (
	"bytes"
	"context"
	"testing"

	"idem/ledger"
)

// changing is a ledger that changes just before one of its methods is called for a key.
type changing struct {
	memory
	method string
	key    string
	change func()
}

type memory interface {
	ledger.Ledger
	ledger.Transferring
	ledger.Collecting
}

func (c *changing) at(method, key string) {
	if change := c.change; change != nil && c.method == method && c.key == key {
		c.change = nil
		change()
	}
}

func (c *changing) Attempts(ctx context.Context, id ledger.ID) ([]ledger.Attempt, error) {
	c.at("Attempts", id.Key)
	return c.memory.Attempts(ctx, id)
}

func (c *changing) Files(ctx context.Context, id ledger.ID, runID string) ([]ledger.File, error) {
	c.at("Files", id.Key)
	return c.memory.Files(ctx, id, runID)
}

func (c *changing) Output(ctx context.Context, id ledger.ID, runID string) (ledger.Output, error) {
	c.at("Output", id.Key)
	return c.memory.Output(ctx, id, runID)
}

// exportDuring exports the ledger of k, which changes before a method is called for the key "a".
func (k kit) exportDuring(method string, change func()) []byte {
	k.Helper()
	var b bytes.Buffer
	_, err := Export(k.ctx, &changing{k.l.(memory), method, "a", change}, &b, ExportOptions{Header: header})
	k.ok(err)
	return b.Bytes()
}

// collectOutputs removes all outputs, as idem gc does.
func (k kit) collectOutputs() {
	k.Helper()
	var stored []ledger.StoredOutput
	for o, err := range k.l.(memory).StoredOutputs(k.ctx) {
		k.ok(err)
		stored = append(stored, o)
	}
	removed, err := k.l.(memory).RemoveOutputs(k.ctx, stored)
	k.ok(err)
	if len(removed) == 0 {
		k.Fatal("no output was removed")
	}
}

// TestOutputsThatAreRemovedMeanwhile are removed in the copy too, and not empty.
func TestOutputsThatAreRemovedMeanwhile(t *testing.T) {
	for _, method := range []string{"Attempts", "Files", "Output"} {
		from, to := newKit(t), newKit(t)
		from.fill()
		_, err := to.importAll(from.exportDuring(method, from.collectOutputs), Refuse)
		to.ok(err)
		to.wholeRecords(from)
		if r, err := to.l.Get(t.Context(), key("a")); err != nil || r.Current.OutputRemoved.IsZero() {
			t.Errorf("%s: got error %v and the attempt %+v, want one without its output", method, err, r.Current)
		}
	}
}

// TestAKeyThatIsForgottenMeanwhile is left out, or whole but for its outputs. In the copy, its next
// token is a new one.
func TestAKeyThatIsForgottenMeanwhile(t *testing.T) {
	for method, want := range map[string]Summary{
		"Attempts": {Records: 4, Stored: 4},
		"Files":    {Records: 4, Stored: 4},
		"Output":   {Records: 5, Stored: 5, Conflicts: 1},
	} {
		from, to := newKit(t), newKit(t)
		from.fill()
		file := from.exportDuring(method, func() { from.ok(from.l.Forget(t.Context(), key("a"))) })
		sum, err := to.importAll(file, Refuse)
		to.ok(err)
		if sum != want {
			t.Errorf("%s: got %+v, want %+v", method, sum, want)
		}
		there, err := from.l.Get(t.Context(), key("a"))
		from.ok(err)
		here, err := to.l.Get(t.Context(), key("a"))
		to.ok(err)
		if want.Conflicts == 0 && (here.Generation != there.Generation || here.Fence != there.Fence) {
			t.Errorf("%s: generation %d and fence %d, want %d and %d", method, here.Generation, here.Fence, there.Generation, there.Fence)
		}
	}
}

// TestAParentThatIsRenewedMeanwhile: its series is in the copy, so no token of its steps returns.
func TestAParentThatIsRenewedMeanwhile(t *testing.T) {
	from, to := newKit(t), newKit(t)
	from.fill()
	p := ledger.ID{Namespace: "prod", Key: "batch", Window: "2026-W47"}
	child := p
	child.Key += "/y"
	file := from.exportDuring("Attempts", func() {
		from.ok(from.l.Forget(t.Context(), p))
		from.run(p, ledger.Start{}, success)
	})
	_, err := to.importAll(file, Refuse)
	to.ok(err)
	there, err := from.l.Get(t.Context(), child)
	from.ok(err)
	here, err := to.l.Get(t.Context(), child)
	to.ok(err)
	if here.Generation < there.Generation || here.Fence < there.Fence {
		t.Errorf("the step has generation %d and fence %d, want at least %d and %d", here.Generation, here.Fence, there.Generation, there.Fence)
	}
}
