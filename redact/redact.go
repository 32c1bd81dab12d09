// Package redact takes out of bytes what must not be remembered: what regular
// expressions match, and secrets that are known by their value. Whole values
// and streams that come in pieces are treated alike: how a stream was cut does
// not change what comes out of it. It is pure.
//
// A regular expression is matched within each line, without the line's end
// (\n or \r). A secret is found wherever it stands, also over line ends; only
// the value itself is, no encoding of it. Where matches touch or overlap, all
// of what they cover gives way to one Mark.
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

// Mark stands for what was taken out.
const Mark = "[redacted]"

// MinSecret is the fewest bytes of a secret, and of a line of one: what is
// shorter stands everywhere, and is found by guessing anyway.
const MinSecret = 4

// MaxMatch is up to how many bytes a match of a regular expression is sure to
// be found whole. A stream's unfinished line is held back for it up to twice as
// many; shorter lines are matched as they are.
const MaxMatch = 64 << 10

// Redactor knows what is to be taken out. It may be used by several goroutines.
// A nil Redactor takes nothing out.
type Redactor struct {
	exprs   []*regexp.Regexp
	secrets [][]byte
}

// New returns a Redactor for regular expressions and secrets, nil when there is
// nothing to take out. Of a secret, each line that CheckSecret would take is
// one too, without the white space around it. Errors are those of CheckSecret,
// or say what is wrong with an expression.
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

// CheckSecret tells why a value cannot be taken out.
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

// compile refuses what would silently take out nothing.
func compile(expr string) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	if matchesEmpty(tree) {
		return nil, errEmpty
	}
	if wantsLineEnd(tree) {
		return nil, errLines
	}
	return regexp.Compile(expr)
}

// matchesEmpty tells whether an expression can match no byte at all.
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

// wantsLineEnd tells whether an expression names a line end as something to
// match: literally, or by a dot that matches all. A class such as \s or [^"]
// also holds one, but mostly means what is on the line.
func wantsLineEnd(re *syntax.Regexp) bool {
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
		if wantsLineEnd(sub) {
			return true
		}
	}
	return false
}

// onlyLineEnds tells whether a class, as pairs of first and last, has nothing else.
func onlyLineEnds(class []rune) bool {
	for i := 0; i < len(class); i += 2 {
		if class[i] != class[i+1] || class[i] != '\n' && class[i] != '\r' {
			return false
		}
	}
	return len(class) > 0
}

// Bytes returns b without what is to be taken out. b itself stays as it is.
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

// Finds tells whether there is something in b to be taken out.
func (r *Redactor) Finds(b []byte) bool { return !bytes.Equal(r.Bytes(b), b) }
