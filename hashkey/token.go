package hashkey

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/uuid"

	"idem/internal/lenprefix"
)

// Token returns the UUID (version 8, RFC 9562) of a key for use outside of idem,
// as in an Idempotency-Key header. It is the same on every host and for every
// attempt. Each generation has another, so only forgetting a key changes it. At 36 characters (32 without dashes) it fits the limits of
// the payment APIs: Stripe 255, Adyen 64, Square 45, Helcim 36, Amazon Pay 32.
func Token(namespace, key, window string, generation int64) uuid.UUID {
	b := lenprefix.Append(nil, "idem token v1", namespace, key, window)
	b = binary.AppendUvarint(b, uint64(generation))
	return uuid.NewHash(sha256.New(), uuid.Nil, b, 8)
}
