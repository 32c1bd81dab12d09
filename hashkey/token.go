package hashkey

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/uuid"

	"idem/internal/lenprefix"
)

// Token returns a UUID (version 8, RFC 9562) that names a key to other services,
// for example in an Idempotency-Key header. It is the same on every host and for
// every attempt. Each generation has a different token, so a token changes only
// when its key is forgotten.
//
// With 36 characters (32 without dashes), it fits the limits of payment APIs:
// Stripe 255, Adyen 64, Square 45, Helcim 36, Amazon Pay 32.
func Token(namespace, key, window string, generation int64) uuid.UUID {
	b := lenprefix.Append(nil, "idem token v1", namespace, key, window)
	b = binary.AppendUvarint(b, uint64(generation))
	return uuid.NewHash(sha256.New(), uuid.Nil, b, 8)
}
