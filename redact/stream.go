package redact

import (
	"bytes"
	"cmp"
	"slices"
)

// Stream takes out of a stream what its Redactor knows, and passes the rest on
// as soon as it is sure: it holds back the end that could begin a secret and,
// with regular expressions, the line that is not finished. A process that dies
// takes that with it. Memory is bounded by twice MaxMatch and the longest secret.
type Stream struct {
	r     *Redactor
	write func([]byte)

	held []byte
	// What follows counts from the beginning of what is held.
	spans []span // to be taken out, as found
	line  int    // where the unfinished line begins, or what of it is not matched yet
	// rest tells that the rest of the line is taken out, because a match may
	// have gone on longer than could be looked at.
	rest   bool
	marked bool // a Mark was written last, and what it stands for may go on
	took   bool // a Mark was written

	found []span // of the last match
	out   []byte // of the last pass
}

type span struct{ from, to int }

// Stream returns a stream whose output goes to write, which must not keep what
// it is given.
func (r *Redactor) Stream(write func([]byte)) *Stream {
	return &Stream{r: r, write: write}
}

// Write takes the next piece. It keeps nothing of p.
func (s *Stream) Write(p []byte) {
	if s.r == nil {
		s.write(p)
		return
	}
	before := len(s.held)
	if before > 0 {
		s.held = append(s.held, p...)
		p = s.held
	}
	s.advance(p, before, false)
}

// Took reports whether something was taken out of what was passed on.
func (s *Stream) Took() bool { return s.took }

// Flush passes on what is held: the stream has ended.
func (s *Stream) Flush() {
	if s.r != nil {
		s.advance(s.held, len(s.held), true)
		s.line, s.rest, s.marked = 0, false, false
	}
}

// advance looks at data, of which the first bytes were there before, and passes
// on what nothing that may come can change.
func (s *Stream) advance(data []byte, before int, last bool) {
	sure := min(s.matchLines(data, before, last), s.findSecrets(data, before, last))
	if sure == 0 && before > 0 {
		return
	}
	s.pass(data, sure)
	s.held = append(s.held[:0], data[sure:]...)
	s.line -= sure
	kept := s.spans[:0]
	for _, sp := range s.spans {
		if sp.to > sure {
			kept = append(kept, span{max(0, sp.from-sure), sp.to - sure})
		}
	}
	s.spans = kept
}

// findSecrets adds each occurrence that ends in what is new, and returns where
// one may begin that is not complete.
func (s *Stream) findSecrets(data []byte, before int, last bool) int {
	sure := len(data)
	for _, secret := range s.r.secrets {
		at := max(0, before-len(secret)+1)
		for {
			i := bytes.Index(data[at:], secret)
			if i < 0 {
				break
			}
			s.add(span{at + i, at + i + len(secret)})
			at += i + 1
		}
		if !last {
			sure = min(sure, beginning(data, secret))
		}
	}
	return sure
}

// beginning returns from where on the end of data is a beginning of secret, but
// not all of it: the earliest place, len(data) for none.
func beginning(data, secret []byte) int {
	at := max(0, len(data)-len(secret)+1)
	for at < len(data) {
		i := bytes.IndexByte(data[at:], secret[0])
		if i < 0 {
			break
		}
		if at += i; bytes.HasPrefix(secret, data[at:]) {
			return at
		}
		at++
	}
	return len(data)
}

// matchLines matches the lines that are finished, and returns where the one
// that is not begins.
func (s *Stream) matchLines(data []byte, before int, last bool) int {
	if len(s.r.exprs) == 0 {
		return len(data)
	}
	for {
		window := data[s.line:min(len(data), s.line+2*MaxMatch)]
		end := lineEnd(window, before-s.line)
		whole := end >= 0
		switch {
		case s.rest && !whole:
			s.add(span{s.line, s.line + len(window)})
			s.line += len(window)
			if s.line == len(data) {
				return s.line
			}
		case s.rest:
			s.add(span{s.line, s.line + end})
			s.rest, s.line = false, s.line+end+1
		case whole:
			s.add(s.match(window[:end])...)
			s.line += end + 1
		case len(window) == 2*MaxMatch:
			s.matchLong(window)
		case last:
			s.add(s.match(window)...)
			return len(data)
		default:
			return s.line
		}
	}
}

// lineEnd returns where the first line of data ends, -1 when it does not. There
// is no end among the first bytes that were there before.
func lineEnd(data []byte, before int) int {
	before = max(0, min(before, len(data)))
	data = data[before:]
	end := bytes.IndexByte(data, '\n')
	if end >= 0 {
		data = data[:end]
	}
	if r := bytes.IndexByte(data, '\r'); r >= 0 {
		end = r
	}
	if end < 0 {
		return -1
	}
	return before + end
}

// match returns what the expressions find in line, which begins at s.line.
func (s *Stream) match(line []byte) []span {
	s.found = s.found[:0]
	for _, re := range s.r.exprs {
		for _, m := range re.FindAllIndex(line, -1) {
			s.found = append(s.found, span{s.line + m[0], s.line + m[1]})
		}
	}
	return s.found
}

// matchLong matches a part of a line that is too long to be waited for: it is
// done with the first MaxMatch bytes and what matches there, which may go on
// behind them. A match that reaches the end of what is there may be longer
// still: then the rest of the line goes too.
func (s *Stream) matchLong(window []byte) {
	found := s.match(window)
	slices.SortFunc(found, byPlace)
	done := s.line + MaxMatch
	for _, sp := range found {
		if sp.from >= done { // it will be found again, with what follows
			break
		}
		done = max(done, sp.to)
		s.add(sp)
	}
	s.rest = done == s.line+len(window)
	s.line = done
}

// add notes what is to be taken out; neighbours become one, because there may
// be one at each byte.
func (s *Stream) add(spans ...span) {
	for _, sp := range spans {
		if n := len(s.spans); n > 0 && s.spans[n-1].from <= sp.from && sp.from <= s.spans[n-1].to {
			s.spans[n-1].to = max(s.spans[n-1].to, sp.to)
		} else if sp.from < sp.to {
			s.spans = append(s.spans, sp)
		}
	}
}

func byPlace(a, b span) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) }

// pass writes the first sure bytes of data without the spans among them.
func (s *Stream) pass(data []byte, sure int) {
	if len(s.spans) == 0 { // mostly
		if sure > 0 {
			s.marked = false
			s.write(data[:sure])
		}
		return
	}
	slices.SortFunc(s.spans, byPlace)
	s.out = s.out[:0]
	at := 0
	keep := func(to int) {
		if to > at {
			s.out = append(s.out, data[at:to]...)
			s.marked = false
		}
	}
	for _, sp := range s.spans {
		if sp.from >= sure {
			break
		}
		keep(sp.from)
		if !s.marked {
			s.out = append(s.out, Mark...)
			s.marked, s.took = true, true
		}
		at = max(at, min(sp.to, sure))
	}
	keep(sure)
	if len(s.out) > 0 {
		s.write(s.out)
	}
}
