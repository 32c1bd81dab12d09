package runner

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Codes is a set of exit statuses, as ranges.
type Codes []CodeRange

// CodeRange is the exit statuses from First to Last.
type CodeRange struct{ First, Last int }

// Has reports whether code is in the set.
func (c Codes) Has(code int) bool {
	for _, r := range c {
		if r.First <= code && code <= r.Last {
			return true
		}
	}
	return false
}

// Within reports whether the set is a non-empty subset of o.
func (c Codes) Within(o Codes) bool {
	if len(c) == 0 || len(o) == 0 { // the usual case
		return false
	}
	for code := range 256 {
		if c.Has(code) && !o.Has(code) {
			return false
		}
	}
	return true
}

// String returns the set in the form that ParseCodes parses.
func (c Codes) String() string {
	parts := make([]string, len(c))
	for i, r := range c {
		parts[i] = strconv.Itoa(r.First)
		if r.Last != r.First {
			parts[i] = fmt.Sprintf("%d-%d", r.First, r.Last)
		}
	}
	return strings.Join(parts, ",")
}

var errCodes = errors.New("want exit statuses from 0 to 255 such as 0,24 or 100-110")

// ParseCodes parses a comma-separated list of exit statuses and ranges, such as
// 0,24,100-110.
func ParseCodes(s string) (Codes, error) {
	var codes Codes
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, err := strconv.ParseUint(first, 10, 8)
		b, err2 := strconv.ParseUint(last, 10, 8)
		if err != nil || err2 != nil || a > b {
			return nil, errCodes
		}
		codes = append(codes, CodeRange{int(a), int(b)})
	}
	return codes, nil
}
