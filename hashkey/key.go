// Package hashkey defines valid keys, the inputs of a call and their fingerprint,
// calendar windows, and the token that names a key to other services. It is pure:
// it uses no files, no clock and no environment.
package hashkey

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxKey is the maximum length of a key in bytes. Most payment APIs (Stripe: 255)
// have about this limit, and file systems have it for names.
const MaxKey = 255

// ErrEmptyPart is returned for a key such as "deploy:" or "a::b". Usually it
// means that a variable in the key was unset.
var ErrEmptyPart = errors.New("has an empty part")

// CheckKey returns why key is not valid, or nil. A key is 1 to MaxKey bytes of
// UTF-8. It has no control characters, line separators or bidirectional controls,
// and no space at its beginning or end. The parts between colons must not be
// empty unless allowEmptyParts is set.
func CheckKey(key string, allowEmptyParts bool) error {
	if err := checkName(key, MaxKey); err != nil {
		return err
	}
	if allowEmptyParts {
		return nil
	}
	for part := range strings.SplitSeq(key, ":") {
		if strings.TrimSpace(part) == "" {
			return ErrEmptyPart
		}
	}
	return nil
}

// CheckNamespace returns why ns is not a valid namespace, or nil. The rules are
// those of CheckKey with allowEmptyParts.
func CheckNamespace(ns string) error { return checkName(ns, MaxKey) }

// MaxPath is the maximum length in bytes of the key of a step or an item.
const MaxPath = 1024

// CheckPath returns why path is not valid as the key of a step or an item, or nil. Its
// rules are those of CheckKey with allowEmptyParts, but for the length.
func CheckPath(path string) error { return checkName(path, MaxPath) }

func checkName(s string, most int) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case len(s) > most:
		return fmt.Errorf("is %d bytes long, the limit is %d", len(s), most)
	case !utf8.ValidString(s):
		return errors.New("is not valid UTF-8")
	}
	for _, r := range s {
		if Unprintable(r) {
			return fmt.Errorf("contains the control character %U", r)
		}
	}
	if strings.TrimSpace(s) != s {
		return errors.New("begins or ends with a space")
	}
	return nil
}

// Unprintable reports whether r could control a terminal or make text look like
// other text. It does so for C0, DEL and C1 controls, for line separators, and
// for the bidirectional controls of Unicode (UAX #9, "Trojan Source").
func Unprintable(r rune) bool {
	switch {
	case unicode.IsControl(r):
		return true
	case r == 0x061c, r == 0x200e, r == 0x200f,
		0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
		return true
	case r == 0x2028, r == 0x2029, r == 0xfeff:
		return true
	}
	return false
}
