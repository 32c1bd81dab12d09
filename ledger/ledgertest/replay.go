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

// replaySizes are of output that a ledger may keep in different ways.
var replaySizes = []int{0, 5, 20 << 10, 3 << 20}

// replay opens the output of an attempt and replays it. A nil file must stay
// nil, so that the parameters are what the ledger gets.
func (k *kit) replay(id ledger.ID, a ledger.Attempt, stdout, stderr *os.File) error {
	k.Helper()
	out := k.openOutput(k.b, id, a.RunID)
	err := out.Replay(stdout, stderr)
	k.ok(out.Close(), "Close of an output")
	return err
}

// file returns an empty file and what is in it later.
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
		k.Errorf("%s: got %d bytes, want %d others", what, len(got), len(want))
	}
}

// replayInOrder gives both streams one file: as with 2>&1, the order of the
// pieces shows.
func replayInOrder(k *kit) {
	id := key("k")
	for _, n := range replaySizes {
		ps := pieces(n)
		a := k.record(id, ps, -1)
		f, content := k.file()
		k.ok(k.replay(id, a, f, f), "Replay")
		k.sameBytes(content(), flatten(ps).bytes, "both streams in one file")

		// A file that already has something gets the rest.
		f, content = k.file()
		_, err := f.WriteString("before ")
		k.ok(err, "write")
		k.ok(k.replay(id, a, f, f), "Replay")
		k.sameBytes(content(), append([]byte("before "), flatten(ps).bytes...), "file with a beginning")
	}
}

// pipe returns the end to write to and, when that is closed, what came out.
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

// replayToClosedPipe: as with | head -1, the reader of one stream is gone; the
// other stream must come out whole.
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
		k.sameBytes(content(), f.only(ledger.Stderr), "stderr beside a closed stdout")
		good, content = k.file()
		k.is(k.replay(id, a, good, closed), syscall.EPIPE, "Replay to a closed stderr")
		k.sameBytes(content(), f.only(ledger.Stdout), "stdout beside a closed stderr")
		closed.Close()
	}
}

// replayOfTruncated writes what there is: that something is missing is for
// others to say.
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
