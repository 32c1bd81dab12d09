package hashkey

import "bytes"

// Hide returns the inputs redacted for storing and showing. It applies take to
// names and to values that are not digests. A detail that take would change is
// left out.
func (in Inputs) Hide(take func([]byte) []byte) Inputs {
	out := make(Inputs, 0, len(in))
	for _, p := range in {
		if p.Kind.detail() {
			if p.clean(take) {
				out = append(out, p)
			}
			continue
		}
		if name := string(take([]byte(p.Name))); name != p.Name {
			p.Name, p.Hidden = name, true
		}
		switch p.Kind {
		case KindArg, KindValue, KindCwd:
			if value := take(p.Value); !bytes.Equal(value, p.Value) {
				p.Value, p.Hidden = value, true
			}
		}
		out = append(out, p)
	}
	return out
}

// clean reports whether take changes no name in a detail.
func (p Part) clean(take func([]byte) []byte) bool {
	same := func(s string) bool { return string(take([]byte(s))) == s }
	if !same(p.Name) {
		return false
	}
	if p.Kind != KindTree {
		return true
	}
	entries, ok := p.Entries()
	for _, e := range entries {
		ok = ok && same(e.Name)
	}
	return ok
}

// Withhold returns the inputs without the values that the user typed. One hidden
// part replaces the whole command line, and KindValue parts keep only their name.
// Details are left out, because they contain names that are not in the flags.
func (in Inputs) Withhold() Inputs {
	var out Inputs
	for _, p := range in {
		switch {
		case p.Kind.detail(), p.Kind == KindArg && out.Withheld():
			continue
		case p.Kind == KindArg || p.Kind == KindValue:
			p.Value, p.Hidden = nil, true
		}
		out = append(out, p)
	}
	return out
}

// Withheld reports whether Withhold removed the command line.
func (in Inputs) Withheld() bool {
	for _, p := range in {
		if p.Kind == KindArg && p.withheld() {
			return true
		}
	}
	return false
}

func (p Part) withheld() bool { return p.Hidden && len(p.Value) == 0 }
