package hashkey

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/uuid"
)

// Token returns the UUID (version 8, RFC 9562) that stands for a key outside of
// idem, as an Idempotency-Key header for one. It is the same on every host and
// for every attempt, and another for each generation, so that only forgetting
// a key changes it. At 36 characters (32 without dashes) it fits the limits of
// the payment APIs: Stripe 255, Adyen 64, Square 45, Helcim 36, Amazon Pay 32.
func Token(namespace, key, window string, generation int64) uuid.UUID {
	b := lengthPrefixed("idem token v1", namespace, key, window)
	b = binary.AppendUvarint(b, uint64(generation))
	return uuid.NewHash(sha256.New(), uuid.Nil, b, 8)
}

func lengthPrefixed(fields ...string) []byte {
	var b []byte
	for _, f := range fields {
		b = binary.AppendUvarint(b, uint64(len(f)))
		b = append(b, f...)
	}
	return b
}
