package hashkey

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"idem/internal/lenprefix"
)

// The kinds of details. A detail is a part that is stored with the inputs but is
// not part of the fingerprint. It describes an input further, or describes
// something that is not an input, such as the program file.
const (
	// KindTree lists the files of a directory. The directory is the KindFile input
	// of the same name.
	KindTree Kind = detailMark + "tree"
	// KindProgram is a file that an attempt ran. The caller chooses the format of
	// its value.
	KindProgram Kind = detailMark + "program"
)

// detailMark begins the kind of every detail.
const detailMark = "+"

func (k Kind) detail() bool { return strings.HasPrefix(string(k), detailMark) }

// Counted returns the inputs without details. The fingerprint depends only on
// these.
func (in Inputs) Counted() Inputs {
	if !slices.ContainsFunc(in, func(p Part) bool { return p.Kind.detail() }) {
		return in
	}
	out := make(Inputs, 0, len(in))
	for _, p := range in {
		if !p.Kind.detail() {
			out = append(out, p)
		}
	}
	return out
}

// Details returns the details of one kind, in order.
func (in Inputs) Details(kind Kind) []Part {
	var out []Part
	for _, p := range in {
		if p.Kind == kind {
			out = append(out, p)
		}
	}
	return out
}

// Entry is one file below a directory.
type Entry struct {
	Name string // relative to the directory
	Type byte   // EntryDir, EntryFile or EntryLink
	// Sum is the digest of the content. A tree keeps only the first bytes, which
	// are enough to detect a change.
	Sum []byte
}

// The types of entries.
const (
	EntryDir  = 'd' // has no Sum
	EntryFile = 'f'
	EntryLink = 'l' // a symbolic link; its content is its target
)

// entrySum is the number of bytes of a digest that a tree keeps.
const entrySum = 8

// Tree returns the KindTree detail for the directory input with the given name.
// It reports false if the list would be longer than limit bytes.
func Tree(name string, entries []Entry, limit int) (Part, bool) {
	var b []byte
	for _, e := range entries {
		b = append(b, e.Type)
		b = lenprefix.Append(b, e.Name)
		if e.Type != EntryDir {
			var sum [entrySum]byte
			copy(sum[:], e.Sum)
			b = append(b, sum[:]...)
		}
		if len(b) > limit {
			return Part{}, false
		}
	}
	return Part{Kind: KindTree, Name: name, Value: b}, true
}

// Entries decodes the value of a KindTree detail. It reports false if the value
// is not one that Tree made.
func (p Part) Entries() ([]Entry, bool) {
	var entries []Entry
	for b := p.Value; len(b) > 0; {
		e := Entry{Type: b[0]}
		n, w := binary.Uvarint(b[1:])
		if w <= 0 || n > uint64(len(b)-1-w) {
			return nil, false
		}
		b = b[1+w:]
		e.Name, b = string(b[:n]), b[n:]
		if e.Type != EntryDir {
			if len(b) < entrySum {
				return nil, false
			}
			e.Sum, b = b[:entrySum], b[entrySum:]
		}
		entries = append(entries, e)
	}
	return entries, true
}

// FileChange is a file of a directory that differs between two calls.
type FileChange struct {
	Name  string // relative to the directory
	State string // new, gone or changed
}

// diffTrees returns the differences between the two lists of a directory, sorted
// by name. For a subdirectory that is new or gone, it leaves out the files below.
// It returns nil unless both lists exist.
func diffTrees(old, new Inputs, name string) []FileChange {
	oldFiles, hasOld := entriesOf(old, name)
	newFiles, hasNew := entriesOf(new, name)
	if !hasOld || !hasNew {
		return nil
	}
	var changes []FileChange
	for path, e := range oldFiles {
		if f, still := newFiles[path]; !still {
			changes = append(changes, FileChange{path, "gone"})
		} else if e.Type != f.Type || !bytes.Equal(e.Sum, f.Sum) {
			changes = append(changes, FileChange{path, "changed"})
		}
	}
	for path := range newFiles {
		if _, before := oldFiles[path]; !before {
			changes = append(changes, FileChange{path, "new"})
		}
	}
	slices.SortFunc(changes, func(a, b FileChange) int { return strings.Compare(a.Name, b.Name) })
	whole := map[FileChange]bool{} // directories that are new or gone, and the files in them
	return slices.DeleteFunc(changes, func(c FileChange) bool {
		parent := c.Name[:max(0, strings.LastIndexByte(c.Name, '/'))]
		whole[c] = c.State != "changed"
		return whole[FileChange{parent, c.State}]
	})
}

func entriesOf(in Inputs, name string) (map[string]Entry, bool) {
	for _, p := range in {
		if p.Kind != KindTree || p.Name != name {
			continue
		}
		entries, ok := p.Entries()
		byName := map[string]Entry{}
		for _, e := range entries {
			byName[e.Name] = e
		}
		return byName, ok
	}
	return nil, false
}
