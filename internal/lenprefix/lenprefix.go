// Package lenprefix makes one byte string of several fields. Different fields
// never make the same string.
package lenprefix

import "encoding/binary"

// Append appends each field to b behind its length in bytes, as a uvarint.
// Fingerprints, tokens, locks and checksums of existing ledgers depend on this
// form.
func Append[T ~string | ~[]byte](b []byte, fields ...T) []byte {
	for _, f := range fields {
		b = binary.AppendUvarint(b, uint64(len(f)))
		b = append(b, f...)
	}
	return b
}
