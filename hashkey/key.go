// Package hashkey says what a run depends on: which keys are good keys, what
// makes two calls the same call, and the token that stands for a key outside.
// It is pure: no files, no clock, no environment.
package hashkey

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxKey is the length of a key in bytes, as most payment APIs have it
// (Stripe: 255) and as file systems bound a name.
const MaxKey = 255

// ErrEmptyPart is returned for a key such as "deploy:" or "a::b", which mostly
// means that a variable was unset where the key was put together.
var ErrEmptyPart = errors.New("has an empty part")

// CheckKey returns why key cannot be a key, or nil: 1 to 255 bytes of UTF-8
// without control characters, line separators, bidirectional controls and edge
// spaces. Parts between colons must not be empty unless allowEmptyParts.
func CheckKey(key string, allowEmptyParts bool) error {
	if err := checkName(key); err != nil {
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

// CheckNamespace returns why ns cannot be a namespace, or nil. The rules are
// those of a key that may have empty parts.
func CheckNamespace(ns string) error { return checkName(ns) }

func checkName(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case len(s) > MaxKey:
		return fmt.Errorf("is %d bytes long, the limit is %d", len(s), MaxKey)
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

// Unprintable reports whether r could steer a terminal or make text look like
// other text: C0, DEL and C1 controls, line separators, and the bidirectional
// controls of Unicode (UAX #9, "Trojan Source").
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
