package ledgertest

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"idem/ledger"
)

var replayCases = []testCase{
	{"ReplayInOrder", replayInOrder, nil},
	{"ReplayToPipes", replayToPipes, nil},
	{"ReplayOneStream", replayOneStream, nil},
	{"ReplayToClosedPipe", replayToClosedPipe, nil},
	{"ReplayOfTruncated", replayOfTruncated, nil},
}

// replaySizes are sizes of output that a ledger may store differently.
var replaySizes = []int{0, 5, 20 << 10, 3 << 20}

// replay opens the output of an attempt and replays it. Its parameters have the type
// *os.File, because a nil file must reach the ledger as nil.
func (k *kit) replay(id ledger.ID, a ledger.Attempt, stdout, stderr *os.File) error {
	k.Helper()
	out := k.openOutput(k.b, id, a.RunID)
	err := out.Replay(stdout, stderr)
	k.ok(out.Close(), "Close of an output")
	return err
}

// file returns an empty file, and a function that returns its content.
func (k *kit) file() (*os.File, func() []byte) {
	k.Helper()
	f, err := os.Create(filepath.Join(k.TempDir(), "stream"))
	k.ok(err, "create")
	k.Cleanup(func() { f.Close() })
	return f, func() []byte {
		k.Helper()
		p, err := os.ReadFile(f.Name())
		k.ok(err, "read")
		return p
	}
}

func (k *kit) sameBytes(got, want []byte, what string) {
	k.Helper()
	if !bytes.Equal(got, want) {
		k.Errorf("%s: got %d bytes that differ from the wanted %d bytes", what, len(got), len(want))
	}
}

// replayInOrder replays both streams into one file, as with 2>&1. The file shows the order
// of the pieces.
func replayInOrder(k *kit) {
	id := key("k")
	for _, n := range replaySizes {
		ps := pieces(n)
		a := k.record(id, ps, -1)
		f, content := k.file()
		k.ok(k.replay(id, a, f, f), "Replay")
		k.sameBytes(content(), flatten(ps).bytes, "both streams in one file")

		// A replay into a file that has content continues after it.
		f, content = k.file()
		_, err := f.WriteString("before ")
		k.ok(err, "write")
		k.ok(k.replay(id, a, f, f), "Replay")
		k.sameBytes(content(), append([]byte("before "), flatten(ps).bytes...), "file with a beginning")
	}
}

// pipe returns the writing end of a pipe, and a function that returns the bytes that were
// written after that end is closed.
func (k *kit) pipe() (*os.File, func() []byte) {
	k.Helper()
	r, w, err := os.Pipe()
	k.ok(err, "pipe")
	read := make(chan []byte, 1)
	go func() {
		p, _ := io.ReadAll(r)
		r.Close()
		read <- p
	}()
	return w, func() []byte {
		w.Close()
		return <-read
	}
}

func replayToPipes(k *kit) {
	id := key("k")
	for _, n := range replaySizes {
		f := flatten(pieces(n))
		a := k.record(id, pieces(n), -1)
		stdout, out := k.pipe()
		stderr, err := k.pipe()
		k.ok(k.replay(id, a, stdout, stderr), "Replay")
		k.sameBytes(out(), f.only(ledger.Stdout), "stdout")
		k.sameBytes(err(), f.only(ledger.Stderr), "stderr")
	}
}

func replayOneStream(k *kit) {
	id := key("k")
	for _, n := range replaySizes {
		f := flatten(pieces(n))
		a := k.record(id, pieces(n), -1)
		stdout, out := k.file()
		k.ok(k.replay(id, a, stdout, nil), "Replay of stdout")
		k.sameBytes(out(), f.only(ledger.Stdout), "stdout alone")
		stderr, err := k.file()
		k.ok(k.replay(id, a, nil, stderr), "Replay of stderr")
		k.sameBytes(err(), f.only(ledger.Stderr), "stderr alone")
		k.ok(k.replay(id, a, nil, nil), "Replay of nothing")
	}
}

// replayToClosedPipe: the reader of one stream has closed its pipe, as with | head -1. The
// other stream must be complete.
func replayToClosedPipe(k *kit) {
	id := key("k")
	for _, n := range replaySizes[1:] {
		ps := append(pieces(n), ledger.Chunk{Stream: ledger.Stdout, Bytes: []byte("out")},
			ledger.Chunk{Stream: ledger.Stderr, Bytes: []byte("error")})
		f := flatten(ps)
		a := k.record(id, ps, -1)
		r, closed, err := os.Pipe()
		k.ok(err, "pipe")
		r.Close()

		good, content := k.file()
		k.is(k.replay(id, a, closed, good), syscall.EPIPE, "Replay to a closed stdout")
		k.sameBytes(content(), f.only(ledger.Stderr), "stderr with a closed stdout")
		good, content = k.file()
		k.is(k.replay(id, a, good, closed), syscall.EPIPE, "Replay to a closed stderr")
		k.sameBytes(content(), f.only(ledger.Stdout), "stdout with a closed stderr")
		closed.Close()
	}
}

// replayOfTruncated: a replay writes the recorded part of a truncated output, without an
// error. The caller reports the missing part.
func replayOfTruncated(k *kit) {
	id := key("k")
	ps := pieces(3 << 20)
	for _, keep := range []int64{0, 1000, 2 << 20} {
		a := k.record(id, ps, keep)
		f, content := k.file()
		k.ok(k.replay(id, a, f, f), "Replay")
		k.sameBytes(content(), flatten(k.output(k.b, id, a.RunID)).bytes, "both streams in one file")
	}
}
