package items

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"idem/hashkey"
	"idem/internal/lenprefix"
)

// hashMark begins a name that is a hash. An item that begins with it is hashed, too.
const hashMark = "~"

// name returns the last part of the key of an item that is identified by the given
// values.
func name(batch string, values ...string) string {
	if len(values) > 1 {
		return hashed(lenprefix.Append(nil, values...))
	}
	v := values[0]
	if len(batch)+1+len(v) > hashkey.MaxPath || strings.HasPrefix(v, hashMark) || hashkey.CheckPath(v) != nil {
		return hashed([]byte(v))
	}
	return v
}

func hashed(b []byte) string {
	sum := sha256.Sum256(b)
	return hashMark + hex.EncodeToString(sum[:])
}
