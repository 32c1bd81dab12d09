// Package spool keeps the output of one command: pieces of two streams in the
// order they came, first in memory, then in a file, never more than a limit.
// It reads them back, also while they are still being written.
package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"idem/ledger"
)

// A frame is a header and its bytes, little endian:
//
//	0  stream  1 stdout, 2 stderr, 3 a gap
//	1  of a gap: its stream, 0 if that is not known (as in older recordings)
//	4  length of the bytes, uint32
//	8  time since the attempt's start in microseconds, uint64
//	16 CRC-32 of the bytes, uint32
//	20 CRC-32 of the 20 bytes before, uint32
//
// (IEEE's polynomial: as fast as Castagnoli's with the CPU's help, and Go's tables
// for it cost a replay 0.1 ms less.)
//
// The bytes of a gap are the count of output bytes that were not kept, uint64.
const (
	headerSize = 24
	// summed is how much of each header goes into the checksum of the whole:
	// not its own checksum, after which any CRC is the same for all headers.
	summed    = 20
	gapStream = 3
	// maxFrame bounds what a reader allocates for one frame.
	maxFrame = 1 << 20
)

// errTorn marks a frame of which only the beginning is there.
var errTorn = errors.New("torn frame")

type header struct {
	stream byte
	gapOf  ledger.Stream
	length int
	at     time.Duration
	sum    uint32
}

func appendFrame(b []byte, stream byte, at time.Duration, p []byte) []byte {
	return appendAny(b, stream, 0, at, p)
}

func appendAny(b []byte, stream byte, gapOf ledger.Stream, at time.Duration, p []byte) []byte {
	h := make([]byte, headerSize)
	h[0], h[1] = stream, byte(gapOf)
	binary.LittleEndian.PutUint32(h[4:], uint32(len(p)))
	binary.LittleEndian.PutUint64(h[8:], uint64(max(at, 0).Microseconds()))
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(p))
	binary.LittleEndian.PutUint32(h[summed:], crc32.ChecksumIEEE(h[:summed]))
	return append(append(b, h...), p...)
}

// appendGaps appends a gap for each stream of which bytes are missing.
func appendGaps(b []byte, at time.Duration, g ledger.Gaps) []byte {
	for _, gap := range []struct {
		of ledger.Stream
		n  int64
	}{{ledger.Stdout, g.Stdout}, {ledger.Stderr, g.Stderr}, {0, g.Unknown}} {
		if gap.n > 0 {
			b = appendAny(b, gapStream, gap.of, at, binary.LittleEndian.AppendUint64(nil, uint64(gap.n)))
		}
	}
	return b
}

func parseHeader(h []byte) (header, error) {
	if crc32.ChecksumIEEE(h[:summed]) != binary.LittleEndian.Uint32(h[summed:]) {
		return header{}, fmt.Errorf("%w: a header in the recorded output", ledger.ErrCorrupt)
	}
	x := header{
		stream: h[0],
		gapOf:  ledger.Stream(h[1]),
		length: int(binary.LittleEndian.Uint32(h[4:])),
		at:     time.Duration(binary.LittleEndian.Uint64(h[8:])) * time.Microsecond,
		sum:    binary.LittleEndian.Uint32(h[16:]),
	}
	if x.stream < 1 || x.stream > gapStream || x.length > maxFrame || x.gapOf > ledger.Stderr ||
		(x.stream == gapStream && x.length != 8) {
		return header{}, fmt.Errorf("%w: a header in the recorded output", ledger.ErrCorrupt)
	}
	return x, nil
}

// chunk turns a frame into what the ledger's callers see, after its checksum
// has been compared.
func (h header) chunk(p []byte) (ledger.Chunk, error) {
	if crc32.ChecksumIEEE(p) != h.sum {
		return ledger.Chunk{}, fmt.Errorf("%w: the recorded output", ledger.ErrCorrupt)
	}
	if h.stream == gapStream {
		return ledger.Chunk{Stream: h.gapOf, At: h.at, Dropped: int64(binary.LittleEndian.Uint64(p))}, nil
	}
	return ledger.Chunk{Stream: ledger.Stream(h.stream), At: h.at, Bytes: p}, nil
}
