// Package spool records the output of one command: the pieces of two streams, in the
// order in which they were written. The recording is in memory at first, then in a file,
// and never larger than a limit. The package can also read a recording, even while it is
// being written.
package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"idem/ledger"
)

// A frame is a header and a payload. Numbers are little endian. The fields of the header,
// by offset:
//
//	0  stream: 1 stdout, 2 stderr, 3 a gap
//	1  the stream of a gap; 0 if it is unknown, as in older recordings
//	2  the polynomial of the payload's CRC: 0 IEEE's, 1 Castagnoli's
//	3  0
//	4  length of the payload in bytes, uint32
//	8  time since the attempt's start in microseconds, uint64
//	16 CRC-32 of the payload, uint32
//	20 CRC-32 of the 20 bytes before, uint32
//
// The payload of a gap is the number of output bytes that were not kept, uint64.
//
// Go computes a CRC-32 of Castagnoli's polynomial twice as fast as one of IEEE's: 20 GB/s
// instead of 8 on an AMD EPYC. But building its tables takes 0.1 ms. So only large payloads
// have it.
const (
	headerSize = 24
	// summed is the number of bytes of each header that the checksum of the whole
	// recording covers. It excludes the header's own CRC: a CRC over data followed by
	// its CRC is the same for all data.
	summed    = 20
	gapStream = 3
	// maxFrame is the maximum payload of a frame in bytes. It bounds the memory that
	// a reader allocates for one frame.
	maxFrame = 1 << 20
	// largeFrame is the minimum payload in bytes of a large frame. Large frames are checked in
	// parallel, and the kernel copies them directly from the file. Smaller payloads are joined
	// into one write.
	largeFrame = 16 << 10
)

const ieee, castagnoli = 0, 1 // polynomials

// errTorn is the error of a frame of which only the beginning is in the file.
var errTorn = errors.New("torn frame")

type header struct {
	stream byte
	gapOf  ledger.Stream
	poly   byte
	length int
	at     time.Duration
	sum    uint32
}

func appendFrame(b []byte, stream byte, at time.Duration, p []byte) []byte {
	return appendAny(b, stream, 0, at, p)
}

func appendAny(b []byte, stream byte, gapOf ledger.Stream, at time.Duration, p []byte) []byte {
	return append(appendHeader(b, stream, gapOf, at, p), p...)
}

// appendHeader appends the header of a frame with the payload p.
func appendHeader(b []byte, stream byte, gapOf ledger.Stream, at time.Duration, p []byte) []byte {
	poly := byte(ieee)
	if len(p) >= largeFrame {
		poly = castagnoli
	}
	var h [headerSize]byte
	h[0], h[1], h[2] = stream, byte(gapOf), poly
	binary.LittleEndian.PutUint32(h[4:], uint32(len(p)))
	binary.LittleEndian.PutUint64(h[8:], uint64(max(at, 0).Microseconds()))
	binary.LittleEndian.PutUint32(h[16:], sumOf(p, poly))
	binary.LittleEndian.PutUint32(h[summed:], crc32.ChecksumIEEE(h[:summed]))
	return append(b, h[:]...)
}

// sumOf returns the CRC-32 of p.
func sumOf(p []byte, poly byte) uint32 { return updateSum(0, p, poly) }

// updateSum continues a CRC-32.
func updateSum(sum uint32, p []byte, poly byte) uint32 {
	if poly == castagnoli {
		return crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), p) // the table is made once
	}
	return crc32.Update(sum, crc32.IEEETable, p)
}

// appendGaps appends a gap for each stream that has missing bytes.
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
		poly:   h[2],
		length: int(binary.LittleEndian.Uint32(h[4:])),
		at:     time.Duration(binary.LittleEndian.Uint64(h[8:])) * time.Microsecond,
		sum:    binary.LittleEndian.Uint32(h[16:]),
	}
	if x.stream < 1 || x.stream > gapStream || x.length > maxFrame || x.gapOf > ledger.Stderr || x.poly > castagnoli ||
		(x.stream == gapStream && x.length != 8) {
		return header{}, fmt.Errorf("%w: a header in the recorded output", ledger.ErrCorrupt)
	}
	return x, nil
}

// compare returns ledger.ErrCorrupt unless sum is the checksum of the payload.
func (h header) compare(sum uint32) error {
	if sum != h.sum {
		return fmt.Errorf("%w: the recorded output", ledger.ErrCorrupt)
	}
	return nil
}

// chunk returns a frame with the payload p as a ledger.Chunk. It returns
// ledger.ErrCorrupt if the checksum of p differs.
func (h header) chunk(p []byte) (ledger.Chunk, error) {
	if err := h.compare(sumOf(p, h.poly)); err != nil {
		return ledger.Chunk{}, err
	}
	if h.stream == gapStream {
		return ledger.Chunk{Stream: h.gapOf, At: h.at, Dropped: int64(binary.LittleEndian.Uint64(p))}, nil
	}
	return ledger.Chunk{Stream: ledger.Stream(h.stream), At: h.at, Bytes: p}, nil
}
