// Package lenprefix encodes several fields as one byte string. Different fields never
// make the same string.
package lenprefix

import "encoding/binary"

// Append appends each field to b, after its length in bytes as a uvarint.
// Fingerprints, tokens, locks and checksums of existing ledgers depend on this
// encoding.
func Append[T ~string | ~[]byte](b []byte, fields ...T) []byte {
	for _, f := range fields {
		b = binary.AppendUvarint(b, uint64(len(f)))
		b = append(b, f...)
	}
	return b
}
