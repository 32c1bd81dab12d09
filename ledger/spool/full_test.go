package spool

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"idem/ledger"
)

// limitFiles limits the size of every file that this process writes, in bytes. A
// negative size removes the limit.
func limitFiles(t fataler, size int64) {
	t.Helper()
	var lim unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &lim))
	lim.Cur = lim.Max
	if size >= 0 {
		lim.Cur = uint64(size)
	}
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &lim))
}

// inChild runs the test again in a child process, because the test changes a limit of
// the whole process. It reports whether this process is the child.
func inChild(t *testing.T) bool {
	const mark = "SPOOL_TEST_CHILD"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-rapid.checks="+flag.Lookup("rapid.checks").Value.String())
	c.Env = append(os.Environ(), mark+"="+t.Name())
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// check compares the recording of a writer that may not have kept all with the output
// that was written:
//   - The kept parts are the beginning and the end.
//   - The gap counts all bytes between them.
//   - Nothing is missing from an output that is not truncated.
func check(t fataler, s Summary, path string, whole flat) kept {
	t.Helper()
	if s.Bytes != int64(len(whole.bytes)) {
		t.Fatalf("%d bytes were counted of %d", s.Bytes, len(whole.bytes))
	}
	var k kept
	if s.Inline != nil || s.Size > 0 {
		r := open(t, s, path)
		defer r.Close()
		k = readAll(t, r)
	}
	h, n := len(k.head.bytes), len(k.tail.bytes)
	switch {
	case h+n > len(whole.bytes) || !k.head.equal(whole.part(0, h)) || !k.tail.equal(whole.part(len(whole.bytes)-n, len(whole.bytes))):
		t.Fatalf("%d and %d bytes were kept that are not the output's", h, n)
	case !s.Truncated && !k.head.equal(whole):
		t.Fatalf("%d of %d bytes were kept, and that is not said", h, len(whole.bytes))
	case k.gaps > 1 || k.gaps == 1 && k.gap != int64(len(whole.bytes)-h-n):
		t.Fatalf("%d and %d bytes of %d were kept, the mark between says %d", h, n, len(whole.bytes), k.gap)
	case s.Truncated && h == len(whole.bytes):
		t.Fatalf("all was kept, but the summary says truncated")
	}
	return k
}

// TestFullDiskTruncatesTheOutput stops the growth of the file at some size, for good or
// until the command has ended. The writer goes on, and its summary is right.
func TestFullDiskTruncatesTheOutput(t *testing.T) {
	if !inChild(t) {
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	files := newSpoolDir(t)
	rapid.Check(t, func(t *rapid.T) {
		pieces := anyPieces(0).Draw(t, "pieces")
		limit, start := anyLimit().Draw(t, "limit"), anyStart().Draw(t, "start")
		room := rapid.OneOf(rapid.Int64Range(0, 300), rapid.Int64Range(0, 2*InlineMax), rapid.Int64Range(0, 4*tailMax)).Draw(t, "room")
		again := rapid.Bool().Draw(t, "room again")

		path, create := files.next()
		defer os.Remove(path)
		limitFiles(t, room)
		defer limitFiles(t, -1)
		w := NewWriter(limit, time.Now().Add(start), create)
		for _, p := range pieces {
			w.Write(p.stream, p.bytes)
		}
		if again {
			limitFiles(t, -1)
		}
		s, err := w.Close(true)
		must(t, err)
		limitFiles(t, -1)
		k := check(t, s, path, flatten(pieces))
		if again && s.Truncated && k.gaps == 0 {
			t.Fatal("there was room for the mark, but there is none")
		}
	})
}

// TestEndIsKeptWhenThereIsRoomAgain fills the disk in the middle of the output only.
func TestEndIsKeptWhenThereIsRoomAgain(t *testing.T) {
	if !inChild(t) {
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	path, create := newSpoolDir(t).next()
	var pieces []piece
	for i := range 64 { // 4 MiB
		pieces = append(pieces, piece{ledger.Stdout, bytes.Repeat([]byte{byte(i)}, 64<<10)})
	}
	w := NewWriter(-1, time.Now(), create)
	limitFiles(t, 1<<20)
	for _, p := range pieces {
		w.Write(p.stream, p.bytes)
	}
	limitFiles(t, -1)
	s, err := w.Close(true)
	must(t, err)
	k := check(t, s, path, flatten(pieces))
	if len(k.tail.bytes) != tailMax || len(k.head.bytes) != 15*64<<10 || !s.Truncated {
		t.Errorf("%d and %d bytes were kept", len(k.head.bytes), len(k.tail.bytes))
	}
}

// TestNoFileAtAll checks that without a file, output that does not fit inline is lost and
// counted.
func TestNoFileAtAll(t *testing.T) {
	for name, create := range map[string]func() (*os.File, error){
		"it cannot be made": func() (*os.File, error) { return nil, errors.New("no") },
		"it takes nothing":  func() (*os.File, error) { return os.OpenFile("/dev/full", os.O_RDWR, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{0, 100, InlineMax - headerSize, InlineMax, 5 << 20} {
				for _, limit := range []int64{-1, 1000, 40 << 10, 3 << 20} {
					w := NewWriter(limit, time.Now(), create)
					whole := []piece{{1, make([]byte, n)}}
					s := record(t, w, whole)
					check(t, s, "", flatten(whole))
					if n <= InlineMax-2*headerSize && (limit < 0 || int64(n) <= limit) && s.Truncated {
						t.Errorf("%d bytes, limit %d: truncated, although no file was needed", n, limit)
					}
				}
			}
		})
	}
}
