package cmd

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"idem/ledger"
)

// printer writes chunks to idem's stdout and stderr.
type printer struct {
	screen    bool   // stdout is a terminal that shows escapes
	errScreen bool   // so is stderr
	page      func() // before the first bytes for a screen
	stamps    bool   // each line begins with its time
	ui        *ui
	inLine    map[ledger.Stream]bool   // the stream has begun a line
	partial   map[ledger.Stream][]byte // by stream, the first bytes of a character whose rest is in the next chunk
}

// stamped returns a piece of output with its time before each line that begins in it.
func (p *printer) stamped(c ledger.Chunk, b []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(b) {
		if !p.inLine[c.Stream] {
			out.WriteString(stampText(c))
		}
		out.Write(line)
		p.inLine[c.Stream] = line[len(line)-1] != '\n'
	}
	return out.Bytes()
}

func (p *printer) chunk(c ledger.Chunk) error {
	p.page()
	if c.Dropped > 0 {
		return p.gap(c)
	}
	b := c.Bytes
	if p.stamps {
		b = p.stamped(c, b)
	} else {
		p.inLine[c.Stream] = b[len(b)-1] != '\n'
	}
	if p.shows(c.Stream) {
		// A character may be split between two chunks.
		b = append(p.partial[c.Stream], b...)
		whole := len(b) - incomplete(b)
		p.partial[c.Stream] = bytes.Clone(b[whole:])
		return p.show(c.Stream, b[:whole])
	}
	return p.write(c.Stream, b)
}

// end shows what is left of a stream: the first bytes of a character whose rest does not come.
func (p *printer) end(streams ...ledger.Stream) error {
	for _, s := range streams {
		if b := p.partial[s]; len(b) > 0 {
			delete(p.partial, s)
			if err := p.show(s, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// show writes bytes for a screen.
func (p *printer) show(s ledger.Stream, b []byte) error {
	return p.write(s, []byte(escapeBut(string(b), "\n\t\\")))
}

// shows reports whether a stream is on a screen. A part of an unknown stream is on stdout.
func (p *printer) shows(s ledger.Stream) bool {
	if s == ledger.Stderr {
		return p.errScreen
	}
	return p.screen
}

// gap marks a part of the output that was not recorded. The bytes of a stream stay exact if a
// program may read them.
func (p *printer) gap(c ledger.Chunk) error {
	if err := p.end(endedBy(c)...); err != nil {
		return err
	}
	screen := p.shows(c.Stream)
	if !screen && !p.stamps {
		p.ui.warn("%s", gapText(c))
		return nil
	}
	line := "[" + gapText(c) + "]\n"
	if p.stamps {
		line = stampText(c) + line
	}
	if p.inLine[c.Stream] || screen && (p.inLine[ledger.Stdout] || p.inLine[ledger.Stderr]) {
		line = "\n" + line
	}
	if delete(p.inLine, c.Stream); screen {
		clear(p.inLine)
	}
	return p.write(c.Stream, []byte(line))
}

// endedBy returns the streams whose characters a gap ends. A gap of an unknown stream ends those
// of both.
func endedBy(gap ledger.Chunk) []ledger.Stream {
	if gap.Stream == 0 {
		return []ledger.Stream{ledger.Stdout, ledger.Stderr}
	}
	return []ledger.Stream{gap.Stream}
}

// stampText returns the time of a chunk as it precedes a line.
func stampText(c ledger.Chunk) string { return fmt.Sprintf("+%.3fs ", c.At.Seconds()) }

// incomplete returns the number of bytes at the end of b that begin a character
// without completing it.
func incomplete(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

func (p *printer) write(s ledger.Stream, b []byte) error {
	to := p.ui.stdout
	if s == ledger.Stderr {
		to = p.ui.stderr
	}
	if _, err := to.Write(b); err != nil {
		return fail(exitError, "%w", err)
	}
	return nil
}
