package ledger

import (
	"errors"
	"fmt"
	"strings"
)

// Glob is a pattern that a whole key must match. It has the syntax of SQLite's GLOB:
//   - * matches any text;
//   - ? matches one character;
//   - [a-z] matches one character of a set;
//   - [^a-z] matches one character outside of a set.
//
// A slash has no special meaning.
type Glob string

// maxGlob is the maximum length of a pattern in bytes. It is SQLite's limit
// (SQLITE_MAX_LIKE_PATTERN_LENGTH).
const maxGlob = 50_000

// ErrOpenSet is the error of a pattern with a set that is not closed.
var ErrOpenSet = errors.New("a [ is never closed; write [[] for the character itself")

// ParseGlob returns the pattern as a Glob. It refuses a pattern that is too long. It
// also refuses a set that is never closed (ErrOpenSet): such a pattern matches nothing,
// so it is a mistake.
func ParseGlob(pattern string) (Glob, error) {
	if len(pattern) > maxGlob {
		return "", fmt.Errorf("is %d bytes long, the limit is %d", len(pattern), maxGlob)
	}
	for rest := pattern; ; {
		_, set, open := strings.Cut(rest, "[")
		if !open {
			return Glob(pattern), nil
		}
		set = strings.TrimPrefix(strings.TrimPrefix(set, "^"), "]") // a ] in first position is a member
		if _, rest, open = strings.Cut(set, "]"); !open {
			return "", ErrOpenSet
		}
	}
}

// Match reports whether the pattern matches all of key.
func (g Glob) Match(key string) bool {
	pattern, s := []rune(g), []rune(key)
	var afterStar, unmatched []rune // the pattern after the last *, and the text on which to try it next
	hasStar := false
	for {
		next, ok := pattern, false
		switch {
		case len(pattern) > 0 && pattern[0] == '*':
			pattern = pattern[1:]
			hasStar, afterStar, unmatched = true, pattern, s
			continue
		case len(pattern) == 0:
			if len(s) == 0 {
				return true
			}
		case len(s) > 0:
			next, ok = matchOne(pattern, s[0])
		}
		if ok {
			pattern, s = next, s[1:]
			continue
		}
		if !hasStar || len(unmatched) == 0 {
			return false
		}
		unmatched = unmatched[1:] // the last * matches one character more
		pattern, s = afterStar, unmatched
	}
}

// matchOne reports whether the first element of pattern matches c, and returns the
// rest of the pattern. The first element must not be a *.
func matchOne(pattern []rune, c rune) (rest []rune, ok bool) {
	switch pattern[0] {
	case '?':
		return pattern[1:], true
	case '[':
		in, rest, closed := inSet(pattern[1:], c)
		return rest, in && closed
	default:
		return pattern[1:], pattern[0] == c
	}
}

// inSet reports whether a set contains c, and returns the pattern after the set. ok is
// false for a set that is not closed. As in SQLite, a ] in first position is a member
// but cannot begin a range. The first character of a descending range is a member.
func inSet(set []rune, c rune) (in bool, rest []rune, ok bool) {
	not := len(set) > 0 && set[0] == '^'
	if not {
		set = set[1:]
	}
	if len(set) > 0 && set[0] == ']' {
		in, set = c == ']', set[1:]
	}
	var low rune // the character that can begin a range; 0 for none
	for i := 0; i < len(set); i++ {
		switch {
		case set[i] == ']':
			return in != not, set[i+1:], true
		case set[i] == '-' && low > 0 && i+1 < len(set) && set[i+1] != ']':
			i++
			in = in || low <= c && c <= set[i]
			low = 0
		default:
			in = in || c == set[i]
			low = set[i]
		}
	}
	return false, nil, false
}
