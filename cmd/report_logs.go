package cmd

import (
	"bytes"
	"fmt"
	"os"
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
	to := p.ui.stdout
	if c.Stream == ledger.Stderr {
		to = p.ui.stderr
	}
	if c.Dropped > 0 {
		return p.gap(to, c)
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
		b = b[:whole]
		b = []byte(escapeBut(string(b), "\n\t\\"))
	}
	return p.write(to, b)
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
func (p *printer) gap(to *os.File, c ledger.Chunk) error {
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
	delete(p.partial, c.Stream) // the rest of the character is missing
	return p.write(to, []byte(line))
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

func (p *printer) write(to *os.File, b []byte) error {
	if _, err := to.Write(b); err != nil {
		return fail(exitError, "%w", err)
	}
	return nil
}
