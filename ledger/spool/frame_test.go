package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"idem/ledger"
)

// TestPolynomials: a large payload has a CRC of Castagnoli's polynomial. A recording of an
// earlier version, which has IEEE's everywhere, is read too. A polynomial that this version
// does not know is damage.
func TestPolynomials(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []int{0, 1, largeFrame - 1, largeFrame, maxFrame} {
		p := bytes.Repeat([]byte("x"), n)
		written := appendFrame(nil, byte(ledger.Stdout), 0, p)
		want := byte(ieee)
		if n >= largeFrame {
			want = castagnoli
		}
		if written[2] != want {
			t.Errorf("%d bytes: got polynomial %d, want %d", n, written[2], want)
		}
		for poly, sum := range []uint32{crc32.ChecksumIEEE(p), crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)), 0} {
			b := bytes.Clone(written)
			b[2] = byte(poly)
			binary.LittleEndian.PutUint32(b[16:], sum)
			binary.LittleEndian.PutUint32(b[summed:], crc32.ChecksumIEEE(b[:summed]))
			headers := crc32.ChecksumIEEE(b[:summed])
			if poly > castagnoli {
				refuses(t, OpenInline(b, headers), dir, "an unknown polynomial")
				continue
			}
			got, _, err := replayed(t, inFile(t, dir, b, int64(len(b)), headers), dir)
			if err != nil || !bytes.Equal(got, p) {
				t.Errorf("%d bytes, polynomial %d: got %d bytes, error %v", n, poly, len(got), err)
			}
			if n > 0 {
				b[headerSize+n/2] ^= 1
				refuses(t, inFile(t, dir, b, int64(len(b)), headers), dir, "a damaged payload")
				if _, err := OpenInline(b, headers).Next(); !errors.Is(err, ledger.ErrCorrupt) {
					t.Errorf("%d bytes, polynomial %d, damaged: got error %v", n, poly, err)
				}
			}
		}
	}
}
