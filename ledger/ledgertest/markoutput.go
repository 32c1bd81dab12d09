package ledgertest

import (
	"bytes"
	"errors"
	"io"
	"testing/iotest"

	"idem/ledger"
)

// markOutput settles id with an output and keep as the limit of the recording.
func (k *kit) markOutput(id ledger.ID, out []byte, keep int64) ledger.Attempt {
	k.Helper()
	m := newMark(k.get(k.a, id), ledger.Succeeded)
	m.Stdout, m.MaxOutput = iotest.HalfReader(bytes.NewReader(out)), keep
	return k.markWith(k.a, id, m)
}

// markWithOutput: the output of a mark is recorded like that of an execution. The sizes
// include small and large ones, which a ledger may store differently.
func markWithOutput(k *kit) {
	id := key("k")
	earlier := k.record(id, pieces(1000), -1)
	for _, n := range []int{0, 1, 32<<10 - 1, 32 << 10, 64 << 10, 1<<20 + 1, 5 << 20} {
		out := flatten(pieces(n)).bytes
		k.exactly(id, k.markOutput(id, out, -1), []ledger.Chunk{{Stream: ledger.Stdout, Bytes: out}})
	}
	k.exactly(id, earlier, pieces(1000))
	k.exactly(id, k.mark(k.b, id, ledger.Succeeded), nil)
	k.ok(k.a.Forget(k.ctx, id), "Forget")
	k.phase(id, ledger.PhaseNone)
}

func markKeepsMaxOutput(k *kit) {
	id, out := key("k"), flatten(pieces(300<<10)).bytes
	for _, keep := range []int64{0, 1000, 100 << 10, 300<<10 - 1, 300 << 10} {
		a := k.markOutput(id, out, keep)
		k.same(a.OutputBytes, int64(len(out)), "bytes of the output")
		k.same(a.Truncated, keep > 0 && keep < int64(len(out)), "truncated")
		k.same(a.NoOutput, keep == 0, "no output")
		if keep == 0 {
			continue
		}
		got, dropped := flatten(k.output(k.b, id, a.RunID)), int64(0)
		for _, c := range k.output(k.b, id, a.RunID) {
			dropped += c.Dropped
		}
		k.same(int64(len(got.bytes))+dropped, a.OutputBytes, "bytes kept and dropped")
		if int64(len(got.bytes)) > keep {
			k.Errorf("%d bytes are kept of a mark that may keep %d", len(got.bytes), keep)
		}
	}
}

// markWhoseOutputFails: a mark is recorded with its output or not at all.
func markWhoseOutputFails(k *kit) {
	id, broken := key("k"), errors.New("the disk of the file is on fire")
	k.interrupt(k.b, id)
	before := k.get(k.a, id)
	for _, n := range []int{0, 10, 200 << 10} {
		m := newMark(before, ledger.Succeeded)
		m.Stdout = io.MultiReader(bytes.NewReader(flatten(pieces(n)).bytes), iotest.ErrReader(broken))
		k.is(k.refuseMark(k.a, id, m), broken, "Mark whose output fails")
		k.same(k.get(k.b, id), before, "record after a failed mark")
		k.same(len(k.attempts(k.b, id)), 1, "attempts after a failed mark")
		_, err := k.a.Output(k.ctx, id, m.RunID)
		k.is(err, ledger.ErrNotFound, "Output of a failed mark")
	}
	k.phase(id, ledger.PhaseInterrupted)
	k.mark(k.b, id, ledger.Succeeded)
}
