package sqlite

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"idem/ledger"
	"idem/ledger/localdir"
)

// A ledger that was moved leaves a file at its old place. Without it, calls that still name
// the old place would begin an empty ledger there, and run everything again. The file is
// looked for only where ledger.db or the locks are missing, so it costs other calls nothing.
const movedMark = "MOVED"

const (
	movedHead = "moved to: "
	movingFor = "moving from: "
	moveHead  = "move: "
)

// moveMark is what MOVED and PART say about a move.
type moveMark struct {
	path    string // the other place; "" if it is not legible
	id      string // random, the same at both places
	commits int64  // MOVED: how many commits the copy has
	left    bool   // MOVED: the new place may take calls
}

// movedText returns the content of MOVED.
func movedText(m moveMark) string {
	state := "leaving"
	if m.left {
		state = "left"
	}
	return movedHead + strconv.Quote(m.path) + "\n" + moveHead + m.id + " " + state + " " + strconv.FormatInt(m.commits, 10) + `
The ledger of idem that was here is now at this place. While this file is here,
idem refuses to begin a new ledger, in which everything would run again.
To remove it: idem --ledger THIS_DIRECTORY ledger move --forget-old
`
}

// movingText returns the content of PART at the new place.
func movingText(from, id string) string {
	return movingFor + strconv.Quote(from) + "\n" + moveHead + id + "\n"
}

// markIn reads MOVED or PART. ok is false when the file is missing. The mark is empty if its
// first line is not that of a move.
func markIn(dir *localdir.Dir, name string) (m moveMark, ok bool, err error) {
	info, err := dir.Lookup(name)
	if info == nil || err != nil {
		return m, false, err
	}
	f, err := os.Open(dir.File(name))
	if errors.Is(err, os.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 16<<10))
	if err != nil {
		return m, false, err
	}
	return parseMark(string(b), map[string]string{movedMark: movedHead, partMark: movingFor}[name]), true, nil
}

func parseMark(text, head string) (m moveMark) {
	first, rest, _ := strings.Cut(text, "\n")
	quoted, found := strings.CutPrefix(first, head)
	path, err := strconv.Unquote(quoted)
	if !found || err != nil || !filepath.IsAbs(path) {
		return m
	}
	m.path = path
	second, _, _ := strings.Cut(rest, "\n")
	words, found := strings.CutPrefix(second, moveHead)
	switch fields := strings.Fields(words); {
	case !found:
	case len(fields) == 1:
		m.id = fields[0]
	case len(fields) == 3:
		if n, err := strconv.ParseInt(fields[2], 10, 64); err == nil {
			m.id, m.left, m.commits = fields[0], fields[1] != "leaving", n
		}
	}
	return m
}

// away returns the fault of a directory without a whole ledger that has a mark: its ledger was
// moved, or it is an unfinished copy. It returns nil without a mark.
func away(dir *localdir.Dir) error {
	moved, left, err := markIn(dir, movedMark)
	if err != nil {
		return err
	}
	if left {
		to := moved.path
		text := "this ledger was moved to " + to
		if to == "" {
			text = "this ledger was moved away, and its mark does not say where to"
		}
		return &ledger.Fault{Kind: ledger.FaultMoved, Is: ledger.ErrForeign, Path: dir.File(movedMark), Text: text, Moved: to}
	}
	mark, part, err := markIn(dir, partMark)
	if !part || err != nil {
		return err
	}
	from := mark.path
	text := "this is an unfinished copy of a ledger"
	if from != "" {
		text = "moving the ledger " + from + " to this place was cut off"
	}
	return &ledger.Fault{Kind: ledger.FaultUnfinished, Is: ledger.ErrForeign, Path: dir.File(partMark), Text: text, Moved: from}
}

// movedAway returns the fault of a ledger that was moved while it was in use, in place of a
// fault that is a consequence. Otherwise it returns err.
func (l *Ledger) movedAway(err error) error {
	var fault *ledger.Fault
	if !errors.As(err, &fault) {
		return err
	}
	switch fault.Kind {
	case ledger.FaultReplaced, ledger.FaultNoLocks, ledger.FaultNoDatabase:
		if moved := (*ledger.Fault)(nil); errors.As(away(l.dir), &moved) && moved.Kind == ledger.FaultMoved {
			return moved
		}
	}
	return err
}

// leaveMark stores the mark of a ledger that is at another place now.
func leaveMark(dir *localdir.Dir, m moveMark) error {
	if err := dir.Fill(movedMark, []byte(movedText(m))); err != nil {
		return err
	}
	return dir.Sync(".")
}
