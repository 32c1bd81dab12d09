package cmd

import (
	"io"
	"math"
	"slices"
	"strings"
)

// column is a column of a screenTable.
type column struct {
	head  string
	right bool // its texts end at the same cell
	// has reports whether the column is shown, given the different texts of its rows so far.
	has func(texts map[string]bool) bool
}

// The conditions of columns.
func always(map[string]bool) bool        { return true }
func filled(texts map[string]bool) bool  { return len(texts) > 1 || !texts[""] }
func several(texts map[string]bool) bool { return len(texts) > 1 }

const (
	// columnGap is the number of cells between two columns.
	columnGap = 2
	// minLast is the least room for the last column. With less, its text has its own line.
	minLast = 16
	// screenBlock is the number of rows that are laid out together, so a reader sees the
	// first rows before the last ones are known.
	screenBlock = 200
)

// screenTable writes rows for a person. A row is one line. Only the text of the last
// column is shortened to fit, or goes on in further lines. Where the other columns leave no
// room, that text is whole and on the next line.
type screenTable struct {
	to      io.Writer
	width   int // in cells; noWidth in a pipe
	columns []column
	whole   bool // the text of the last column goes on in further lines

	rows   []screenRow
	texts  []map[string]bool // by column; not of the last one
	widths []int             // by column; 0 for one that is not shown
}

// noWidth is the width of a table that need not fit a terminal.
const noWidth = math.MaxInt

// screenRow has escaped texts, one for each column.
type screenRow struct {
	texts []string            // nil: the row has only lines below
	paint func(string) string // of the text in the first column; may be nil
	below []string            // lines below the row, from the second column on
}

func (t *screenTable) add(r screenRow) error {
	t.rows = append(t.rows, r)
	if len(t.rows) < screenBlock {
		return nil
	}
	return t.flush()
}

// flush writes the rows that have not been written. The head comes first, and again when
// a further column is shown.
func (t *screenTable) flush() error {
	if len(t.rows) == 0 {
		return nil
	}
	var b strings.Builder
	if t.layOut() {
		heads := make([]string, len(t.columns))
		for i, c := range t.columns {
			heads[i] = c.head
		}
		t.line(&b, screenRow{texts: heads})
	}
	for _, row := range t.rows {
		t.line(&b, row)
	}
	t.rows = t.rows[:0]
	_, err := io.WriteString(t.to, b.String())
	return err
}

// layOut widens the columns for the rows. It reports whether the head has changed.
func (t *screenTable) layOut() bool {
	last := len(t.columns) - 1
	first := t.widths == nil
	if first {
		t.widths, t.texts = make([]int, last), make([]map[string]bool, last)
	}
	changed := first
	for i, c := range t.columns[:last] {
		if t.texts[i] == nil {
			t.texts[i] = map[string]bool{}
		}
		wide := cells(c.head)
		for _, row := range t.rows {
			if row.texts == nil {
				continue
			}
			wide = max(wide, cells(row.texts[i]))
			if len(t.texts[i]) < 2 { // no condition asks for more
				t.texts[i][row.texts[i]] = true
			}
		}
		switch {
		case !c.has(t.texts[i]):
		case t.widths[i] == 0:
			changed, t.widths[i] = true, wide
		default:
			t.widths[i] = max(t.widths[i], wide)
		}
	}
	return changed
}

// line writes one row.
func (t *screenTable) line(b *strings.Builder, r screenRow) {
	if r.texts != nil {
		t.cellsOf(b, r)
		t.lines(b, r.below, t.widths[0]+columnGap)
	} else {
		t.lines(b, r.below, 0)
	}
}

// cellsOf writes the texts of one row.
func (t *screenTable) cellsOf(b *strings.Builder, r screenRow) {
	var row strings.Builder
	last := len(t.columns) - 1
	used := 0
	for i, c := range t.columns[:last] {
		if t.widths[i] == 0 {
			continue
		}
		text, pad := r.texts[i], strings.Repeat(" ", t.widths[i]-cells(r.texts[i]))
		if i == 0 && r.paint != nil {
			text = r.paint(text)
		}
		if c.right {
			row.WriteString(pad + text)
		} else {
			row.WriteString(text + pad)
		}
		row.WriteString(strings.Repeat(" ", columnGap))
		used += t.widths[i] + columnGap
	}
	text := r.texts[last]
	switch room := t.width - used; {
	case t.width < minWidth || room < minLast:
		b.WriteString(strings.TrimRight(row.String(), " ") + "\n" + strings.Repeat(" ", columnGap) + text + "\n")
	case t.whole:
		lines := fold(text, room)
		b.WriteString(strings.TrimRight(row.String()+lines[0], " ") + "\n")
		t.lines(b, lines[1:], used)
	default:
		b.WriteString(row.String() + shorten(text, room) + "\n")
	}
}

// lines writes lines that begin at a cell. A line that does not fit goes on two cells
// further to the right.
func (t *screenTable) lines(b *strings.Builder, lines []string, at int) {
	margin, room := strings.Repeat(" ", at), t.width-at-columnGap
	if t.width < minWidth {
		room = noWidth
	}
	for _, line := range lines {
		for i, part := range fold(line, room) {
			if i > 0 {
				part = strings.Repeat(" ", columnGap) + part
			}
			b.WriteString(margin + part + "\n")
		}
	}
}

// foot writes parts on one line as far as they fit. Each further part begins a line.
func (t *screenTable) foot(parts ...string) error {
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
	var b strings.Builder
	used := 0
	for _, p := range parts {
		switch n := cells(p); {
		case used == 0:
			used = n
		case used+columnGap+n <= t.width:
			b.WriteString(strings.Repeat(" ", columnGap))
			used += columnGap + n
		default:
			b.WriteString("\n")
			used = n
		}
		b.WriteString(p)
	}
	_, err := io.WriteString(t.to, b.String()+"\n")
	return err
}
