package hashkey

import (
	"bytes"
	"fmt"
	"slices"
)

// Change is an input that differs, or may differ, between two calls.
type Change struct {
	Kind Kind
	Name string // "command", "argument 2", "environment variable FOO"
	// Old and New are the values, or nil in a call that does not have the input.
	// Only the values of arguments and of KindValue may be shown. Parts of them
	// that may be secrets are masked.
	Old, New []byte
	// Hidden reports whether the stored parts are equal, but a part that was not
	// stored may differ. Old and New are nil if no part was stored.
	Hidden bool
	// Masked reports whether the values differ only in masked parts, so Old and
	// New are equal.
	Masked bool
	// Files are the changed files of a directory, if both calls list its files.
	Files []FileChange
}

// Diff returns the changes from old to new in this order:
//   - arguments by position
//   - the other inputs of new, in their order
//   - inputs that are only in old
//
// Call it only if the fingerprints differ. With equal fingerprints no input
// differs, even if some are hidden. A detail never counts as a change. It only
// adds Files to the change of its directory.
func Diff(old, new Inputs) []Change {
	all, allNew := old, new
	old, new = old.Counted(), new.Counted()
	changes := diffArgs(old.args(), new.args())
	type id struct {
		kind Kind
		name string
	}
	unmatched := map[id][]Part{} // the parts of old without a counterpart in new so far
	for _, p := range old {
		k := id{p.Kind, p.Name}
		unmatched[k] = append(unmatched[k], p)
	}
	take := func(p Part) bool {
		k := id{p.Kind, p.Name}
		i := slices.IndexFunc(unmatched[k], func(o Part) bool { return bytes.Equal(o.Value, p.Value) && !o.Hidden && !p.Hidden })
		if i >= 0 {
			unmatched[k] = slices.Delete(unmatched[k], i, i+1)
		}
		return i >= 0
	}
	var left Inputs
	for _, p := range new {
		if p.Kind != KindArg && !take(p) {
			left = append(left, p)
		}
	}
	for _, p := range left {
		k := id{p.Kind, p.Name}
		if len(unmatched[k]) == 0 {
			changes = append(changes, Change{Kind: p.Kind, Name: p.label(), New: p.shown()})
			continue
		}
		if c, differs := compare(unmatched[k][0], p); differs {
			c.Name = p.label()
			c.mask(unmatched[k][0].shown(), p.shown())
			if p.Kind == KindFile {
				c.Files = diffTrees(all, allNew, p.Name)
			}
			changes = append(changes, c)
		}
		unmatched[k] = unmatched[k][1:]
	}
	for _, p := range old {
		if k := (id{p.Kind, p.Name}); p.Kind != KindArg && len(unmatched[k]) > 0 {
			changes = append(changes, Change{Kind: p.Kind, Name: p.label(), Old: unmatched[k][0].shown()})
			unmatched[k] = unmatched[k][1:]
		}
	}
	return changes
}

// compare returns the change between two states of one input. It reports whether
// they differ or may differ.
func compare(old, new Part) (Change, bool) {
	c := Change{Kind: new.Kind, Old: old.Value, New: new.Value}
	switch {
	case old.withheld() || new.withheld():
		return Change{Kind: new.Kind, Hidden: true}, true
	case !bytes.Equal(old.Value, new.Value):
		return c, true
	}
	c.Hidden = old.Hidden || new.Hidden
	return c, c.Hidden
}

// mask replaces the values of the change with the masked ones.
func (c *Change) mask(old, new []byte) {
	if c.Old != nil {
		c.Old = old
	}
	if c.New != nil {
		c.New = new
	}
	c.Masked = !c.Hidden && c.Old != nil && c.New != nil && bytes.Equal(c.Old, c.New)
}

// shown returns the masked value of an input other than an argument.
func (p Part) shown() []byte {
	if p.Kind != KindValue || p.Value == nil {
		return p.Value
	}
	return []byte(MaskValue(p.Name, string(p.Value)))
}

// label returns a readable name of an input other than an argument.
func (p Part) label() string {
	switch p.Kind {
	case KindEnv:
		return "environment variable " + p.Name
	case KindFile:
		return "file " + p.Name
	case KindCwd:
		return "working directory"
	case KindValue:
		return "value " + p.Name
	default:
		return string(p.Kind)
	}
}

func (in Inputs) args() Inputs {
	var args Inputs
	for _, p := range in {
		if p.Kind == KindArg {
			args = append(args, p)
		}
	}
	return args
}

func diffArgs(old, new Inputs) []Change {
	if old.Withheld() || new.Withheld() {
		return []Change{{Kind: KindArg, Name: "command line", Hidden: true}}
	}
	var changes []Change
	shownOld, shownNew := Mask(old.Argv()), Mask(new.Argv())
	shown := func(argv []string, i int) []byte {
		if i >= len(argv) {
			return nil
		}
		return []byte(argv[i])
	}
	for i := range max(len(old), len(new)) {
		c := Change{Kind: KindArg}
		differs := true
		switch {
		case i >= len(old):
			c.New = new[i].Value
		case i >= len(new):
			c.Old = old[i].Value
		default:
			c, differs = compare(old[i], new[i])
		}
		c.Name = "command"
		if i > 0 {
			c.Name = fmt.Sprintf("argument %d", i)
		}
		if differs {
			c.mask(shown(shownOld, i), shown(shownNew, i))
			changes = append(changes, c)
		}
	}
	return changes
}
