package hashkey

import "bytes"

// Hide returns the inputs redacted for storing and showing. It applies redact to
// names and to values that are not digests. A detail that redact would change is
// left out.
func (in Inputs) Hide(redact func([]byte) []byte) Inputs {
	out := make(Inputs, 0, len(in))
	for _, p := range in {
		if p.Kind.detail() {
			if p.clean(redact) {
				out = append(out, p)
			}
			continue
		}
		if name := string(redact([]byte(p.Name))); name != p.Name {
			p.Name, p.Hidden = name, true
		}
		switch p.Kind {
		case KindArg, KindValue, KindCwd:
			if value := redact(p.Value); !bytes.Equal(value, p.Value) {
				p.Value, p.Hidden = value, true
			}
		}
		out = append(out, p)
	}
	return out
}

// clean reports whether redact changes no name in a detail.
func (p Part) clean(redact func([]byte) []byte) bool {
	same := func(s string) bool { return string(redact([]byte(s))) == s }
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
