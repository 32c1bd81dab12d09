package redact

import (
	"bytes"
	"cmp"
	"slices"
)

// Stream redacts a stream. It passes on every byte as soon as no later byte can
// change the result. It holds back an end that may be the beginning of a secret
// and, with regular expressions, the unfinished line. If the process dies, the
// held bytes are lost. Memory is bounded by 2*MaxMatch plus the longest secret.
type Stream struct {
	r     *Redactor
	write func([]byte)

	held []byte
	// The offsets in spans and line count from the beginning of held.
	spans []span // to be removed, in the order in which they were found
	line  int    // the first byte of the unfinished line that is not matched yet
	// rest reports whether the rest of the line is removed. It is set if a match
	// reached the end of the searched bytes, because the match may be longer.
	rest   bool
	marked bool // the last output was a Mark, and the removed span may continue
	took   bool // a Mark was written

	found []span // the result of the last match, reused
	out   []byte // the output of the last pass, reused
}

type span struct{ from, to int }

// Stream returns a stream whose output goes to write. write must not keep its
// argument.
func (r *Redactor) Stream(write func([]byte)) *Stream {
	return &Stream{r: r, write: write}
}

// Write redacts the next piece of the stream. It does not keep p.
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

// Took reports whether the output so far contains a Mark.
func (s *Stream) Took() bool { return s.took }

// Flush ends the stream and passes on the bytes that are held back.
func (s *Stream) Flush() {
	if s.r != nil {
		s.advance(s.held, len(s.held), true)
		s.line, s.rest, s.marked = 0, false, false
	}
}

// advance searches data, of which the first before bytes were searched earlier,
// and passes on the bytes that no later byte can change.
func (s *Stream) advance(data []byte, before int, last bool) {
	settled := min(s.matchLines(data, before, last), s.findSecrets(data, before, last))
	if settled == 0 && before > 0 {
		return
	}
	s.pass(data, settled)
	s.held = append(s.held[:0], data[settled:]...)
	s.line -= settled
	kept := s.spans[:0]
	for _, sp := range s.spans {
		if sp.to > settled {
			kept = append(kept, span{max(0, sp.from-settled), sp.to - settled})
		}
	}
	s.spans = kept
}

// findSecrets adds each secret that ends after the first before bytes. It
// returns the offset at which an incomplete secret may begin.
func (s *Stream) findSecrets(data []byte, before int, last bool) int {
	settled := len(data)
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
			settled = min(settled, incomplete(data, secret))
		}
	}
	return settled
}

// incomplete returns the smallest offset from which data ends with an incomplete
// secret, or len(data) if there is none.
func incomplete(data, secret []byte) int {
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

// matchLines matches the finished lines, and returns the offset of the
// unfinished one.
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

// lineEnd returns the offset of the first line end in data, or -1. The first
// before bytes are known to contain none.
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

// match returns the matches of all expressions in line, which begins at s.line.
func (s *Stream) match(line []byte) []span {
	s.found = s.found[:0]
	for _, re := range s.r.exprs {
		for _, m := range re.FindAllIndex(line, -1) {
			s.found = append(s.found, span{s.line + m[0], s.line + m[1]})
		}
	}
	return s.found
}

// matchLong matches a window of 2*MaxMatch bytes of a line whose end has not
// arrived. It finishes the first MaxMatch bytes and the matches that begin in
// them. A match that reaches the end of the window may be longer, so the rest
// of the line is removed too.
func (s *Stream) matchLong(window []byte) {
	found := s.match(window)
	slices.SortFunc(found, byOffset)
	done := s.line + MaxMatch
	for _, sp := range found {
		if sp.from >= done { // found again in the next window, which has more of the line
			break
		}
		done = max(done, sp.to)
		s.add(sp)
	}
	s.rest = done == s.line+len(window)
	s.line = done
}

// add adds spans to remove. It merges adjacent ones, because otherwise there
// could be a span for each byte.
func (s *Stream) add(spans ...span) {
	for _, sp := range spans {
		if n := len(s.spans); n > 0 && s.spans[n-1].from <= sp.from && sp.from <= s.spans[n-1].to {
			s.spans[n-1].to = max(s.spans[n-1].to, sp.to)
		} else if sp.from < sp.to {
			s.spans = append(s.spans, sp)
		}
	}
}

func byOffset(a, b span) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) }

// pass writes the first settled bytes of data, with a Mark in place of each span.
func (s *Stream) pass(data []byte, settled int) {
	if len(s.spans) == 0 { // the usual case
		if settled > 0 {
			s.marked = false
			s.write(data[:settled])
		}
		return
	}
	slices.SortFunc(s.spans, byOffset)
	s.out = s.out[:0]
	at := 0
	keep := func(to int) {
		if to > at {
			s.out = append(s.out, data[at:to]...)
			s.marked = false
		}
	}
	for _, sp := range s.spans {
		if sp.from >= settled {
			break
		}
		keep(sp.from)
		if !s.marked {
			s.out = append(s.out, Mark...)
			s.marked, s.took = true, true
		}
		at = max(at, min(sp.to, settled))
	}
	keep(settled)
	if len(s.out) > 0 {
		s.write(s.out)
	}
}
