// Package redact removes sensitive bytes from values and streams: the matches
// of regular expressions, and secrets that are given by value. The pieces in
// which a stream arrives do not change its output. The package is pure.
//
// A regular expression is matched within each line, without the line end
// (\n or \r). A secret is found anywhere, also across line ends. Only its
// literal value is found, not an encoding of it. Matches that touch or overlap
// are replaced together by one Mark.
package redact

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// Mark replaces the bytes that are removed.
const Mark = "[redacted]"

// MinSecret is the minimum length of a secret, and of a line of a secret, in
// bytes. A shorter value would match in many unrelated places, and an attacker
// can guess it anyway.
const MinSecret = 4

// MaxMatch is the length in bytes up to which a match of a regular expression
// is always found whole. For this, a Stream holds back up to 2*MaxMatch bytes
// of an unfinished line.
const MaxMatch = 64 << 10

// Redactor removes matches and secrets. Several goroutines may use it at once.
// A nil Redactor removes nothing.
type Redactor struct {
	exprs   []*regexp.Regexp
	secrets [][]byte
}

// New returns a Redactor for regular expressions and secrets, or nil if both
// lists are empty. Each line of a secret counts as a secret too, without the
// white space around it, if CheckSecret accepts it. The error is one of
// CheckSecret or names the fault of an expression.
func New(exprs, secrets []string) (*Redactor, error) {
	r := &Redactor{}
	for _, expr := range exprs {
		re, err := compile(expr)
		if err != nil {
			return nil, err
		}
		r.exprs = append(r.exprs, re)
	}
	for _, secret := range secrets {
		if err := CheckSecret(secret); err != nil {
			return nil, err
		}
		r.add(secret)
		for line := range strings.Lines(secret) {
			if line = strings.TrimSpace(line); CheckSecret(line) == nil {
				r.add(line)
			}
		}
	}
	if len(r.exprs)+len(r.secrets) == 0 {
		return nil, nil
	}
	return r, nil
}

func (r *Redactor) add(secret string) {
	for _, have := range r.secrets {
		if string(have) == secret {
			return
		}
	}
	r.secrets = append(r.secrets, []byte(secret))
}

// CheckSecret returns why a value cannot be redacted, or nil if it can.
func CheckSecret(value string) error {
	if n := len(strings.TrimSpace(value)); n < MinSecret {
		return fmt.Errorf("has %d bytes, fewer than %d, so it would be found everywhere", n, MinSecret)
	}
	if strings.Contains(Mark, strings.TrimSpace(value)) {
		return fmt.Errorf("is part of the mark %s", Mark)
	}
	return nil
}

var (
	errEmpty = errors.New("it matches the empty text, so it matches everywhere")
	errLines = errors.New("it matches line ends, but each line is matched alone")
)

// compile rejects an expression that can match the empty text. It also rejects
// one that is written to match a line end, because that would silently remove
// nothing.
func compile(expr string) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	if matchesEmpty(tree) {
		return nil, errEmpty
	}
	if matchesLineEnd(tree) {
		return nil, errLines
	}
	return regexp.Compile(expr)
}

// matchesEmpty reports whether an expression can match the empty text.
func matchesEmpty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary, syntax.OpStar, syntax.OpQuest:
		return true
	case syntax.OpRepeat:
		return re.Min == 0 || matchesEmpty(re.Sub[0])
	case syntax.OpPlus, syntax.OpCapture:
		return matchesEmpty(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if !matchesEmpty(sub) {
				return false
			}
		}
		return true
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if matchesEmpty(sub) {
				return true
			}
		}
	}
	return false
}

// matchesLineEnd reports whether an expression is written to match a line end:
// with a literal one, or with a dot that also matches \n. A class such as \s or
// [^"] contains line ends too, but usually it is meant for text on the line.
func matchesLineEnd(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpAnyChar:
		return true
	case syntax.OpLiteral:
		for _, c := range re.Rune {
			if c == '\n' || c == '\r' {
				return true
			}
		}
	case syntax.OpCharClass:
		return onlyLineEnds(re.Rune) || slices.Equal(re.Rune, []rune{0, unicode.MaxRune}) // [\s\S]
	}
	for _, sub := range re.Sub {
		if matchesLineEnd(sub) {
			return true
		}
	}
	return false
}

// onlyLineEnds reports whether a class contains only \n and \r. A class is a
// list of pairs, the first and the last rune of each range.
func onlyLineEnds(class []rune) bool {
	for i := 0; i < len(class); i += 2 {
		if class[i] != class[i+1] || class[i] != '\n' && class[i] != '\r' {
			return false
		}
	}
	return len(class) > 0
}

// Bytes returns a redacted copy of b.
func (r *Redactor) Bytes(b []byte) []byte {
	if r == nil {
		return b
	}
	out := make([]byte, 0, len(b))
	s := r.Stream(func(p []byte) { out = append(out, p...) })
	s.Write(b)
	s.Flush()
	return out
}

// Finds reports whether Bytes would change b.
func (r *Redactor) Finds(b []byte) bool { return !bytes.Equal(r.Bytes(b), b) }
