package hashkey

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestGoodKeys(t *testing.T) {
	for _, key := range []string{
		"a", "..", "../../etc/passwd", "/", "a/b", ".lock", "--", "a b", "%00", "🚀", "deploy:prod:4f2c1e",
		"größe", "gro\u0308\u00dfe", "\\", "'\"", "*", "a=b;c", "key\u200dwith a joiner", // ZWJ joins emoji and controls nothing
		strings.Repeat("k", MaxKey), strings.Repeat("é", 127),
	} {
		if err := CheckKey(key, false); err != nil {
			t.Errorf("%q: got error %v, want none", key, err)
		}
		if err := CheckNamespace(key); err != nil {
			t.Errorf("namespace %q: %v", key, err)
		}
	}
}

func TestBadKeys(t *testing.T) {
	for _, test := range []struct{ key, because string }{
		{"", "is empty"},
		{strings.Repeat("k", MaxKey+1), "is 256 bytes long, the limit is 255"},
		{strings.Repeat("é", 128), "is 256 bytes long, the limit is 255"}, // bytes count, not letters
		{" a", "begins or ends with a space"},
		{"a ", "begins or ends with a space"},
		{"\u00a0a", "begins or ends with a space"},
		{"a\u3000", "begins or ends with a space"},
		{" ", "begins or ends with a space"},
		{"a\xff", "is not valid UTF-8"},
		{"\xed\xa0\x80", "is not valid UTF-8"}, // half of a surrogate pair
		{"\xc0\x80", "is not valid UTF-8"},     // NUL in two bytes
		{"a\nb", "contains the control character U+000A"},
		{"a\tb", "contains the control character U+0009"},
		{"\x00", "contains the control character U+0000"},
		{"a\x1b[31m", "contains the control character U+001B"},
		{"a\x7f", "contains the control character U+007F"},
		{"a\u0085b", "contains the control character U+0085"},
		{"a\u009bb", "contains the control character U+009B"},
		{"a\u202eb", "contains the control character U+202E"},
		{"a\u2066b", "contains the control character U+2066"},
		{"a\u200fb", "contains the control character U+200F"},
		{"a\u2028b", "contains the control character U+2028"},
		{"\ufeffa", "contains the control character U+FEFF"},
	} {
		// allowEmptyParts allows nothing else.
		for _, err := range []error{CheckKey(test.key, false), CheckKey(test.key, true), CheckNamespace(test.key)} {
			if err == nil || err.Error() != test.because {
				t.Errorf("%q: got error %v, want %q", test.key, err, test.because)
			}
		}
	}
}

func TestEmptyPartsAreRefusedUnlessAllowed(t *testing.T) {
	for _, key := range []string{"deploy:", ":x", "a::b", ":", "a: :b", "a:\u00a0:b"} {
		if err := CheckKey(key, false); !errors.Is(err, ErrEmptyPart) {
			t.Errorf("%q: got error %v, want ErrEmptyPart", key, err)
		}
		if err := CheckKey(key, true); err != nil {
			t.Errorf("%q, allowed: %v", key, err)
		}
		if err := CheckNamespace(key); err != nil {
			t.Errorf("namespace %q: %v", key, err)
		}
	}
}

// The key of a step or an item may be longer and have empty parts.
func TestPaths(t *testing.T) {
	for _, key := range []string{"a", "a::b/c:", "k/" + strings.Repeat("x", MaxPath-2)} {
		if err := CheckPath(key); err != nil {
			t.Errorf("%q: got error %v, want none", key, err)
		}
	}
	for key, because := range map[string]string{
		"":                             "is empty",
		strings.Repeat("k", MaxPath+1): "is 1025 bytes long, the limit is 1024",
		"a/b ":                         "begins or ends with a space",
		"a/\tb":                        "contains the control character U+0009",
		"a/\xff":                       "is not valid UTF-8",
	} {
		if err := CheckPath(key); err == nil || err.Error() != because {
			t.Errorf("%q: got error %v, want %q", key, err, because)
		}
	}
}

func TestUnprintable(t *testing.T) {
	for r := rune(0); r < 0x20; r++ {
		if !Unprintable(r) {
			t.Errorf("%U can be printed", r)
		}
	}
	for r := rune(0x7f); r < 0xa0; r++ {
		if !Unprintable(r) {
			t.Errorf("%U can be printed", r)
		}
	}
	for _, r := range []rune{0x61c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069, 0x2028, 0x2029, 0xfeff} {
		if !Unprintable(r) {
			t.Errorf("%U can be printed", r)
		}
	}
	for _, r := range "a ~é£🚀漢\u00a0\u200d\ufffd" {
		if Unprintable(r) {
			t.Errorf("%U (%c) counts as unprintable", r, r)
		}
	}
}

// FuzzCheckKey checks that a valid key is safe to print and to store, and that
// the text of an error is safe to print.
func FuzzCheckKey(f *testing.F) {
	for _, s := range []string{"", "a", "deploy:", "a::b", " a", "a\xff", "\u202e", "a\nb", strings.Repeat("é", 128)} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, key string, allow bool) {
		err := CheckKey(key, allow)
		if err == nil {
			if len(key) < 1 || len(key) > MaxKey || !utf8.ValidString(key) || strings.ContainsFunc(key, Unprintable) ||
				strings.TrimSpace(key) != key || !allow && strings.Contains(":"+key+":", "::") {
				t.Errorf("%q is accepted", key)
			}
			if err := CheckKey(key, true); err != nil {
				t.Errorf("%q is valid only without allowEmptyParts: %v", key, err)
			}
		} else if msg := err.Error(); !utf8.ValidString(msg) || strings.ContainsFunc(msg, Unprintable) {
			t.Errorf("%q: the error cannot be printed: %q", key, msg)
		}
	})
}
