package spool

import (
	"errors"
	"hash/crc32"
	"io"
	"os"

	"idem/ledger"
)

// Scan returns the size and the sum of the undamaged frames at the beginning of a file, as a
// Summary has them. The writer of the file was killed, so the last frame may be torn.
func Scan(f *os.File) (size int64, sum uint32, err error) {
	r := &Reader{src: f, file: f}
	for {
		head, err := r.bytes(r.offset, headerSize)
		if err == nil {
			next := crc32.Update(sum, crc32.IEEETable, head[:summed])
			if _, err = r.Next(); err == nil {
				sum = next
				continue
			}
		}
		if err = r.end(err); errors.Is(err, io.EOF) || errors.Is(err, ledger.ErrCorrupt) {
			err = nil
		}
		return r.offset, sum, err
	}
}
