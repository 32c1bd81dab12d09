package hashkey

import "bytes"

// Hide returns the inputs as they may be stored and shown: names, and values
// that are no digests, are what take leaves of them.
func (in Inputs) Hide(take func([]byte) []byte) Inputs {
	out := make(Inputs, len(in))
	for i, p := range in {
		if name := string(take([]byte(p.Name))); name != p.Name {
			p.Name, p.Hidden = name, true
		}
		switch p.Kind {
		case KindArg, KindValue, KindCwd:
			if value := take(p.Value); !bytes.Equal(value, p.Value) {
				p.Value, p.Hidden = value, true
			}
		}
		out[i] = p
	}
	return out
}

// Withhold returns the inputs without what was typed: one part stands for the
// whole command line, and given values have a name only.
func (in Inputs) Withhold() Inputs {
	var out Inputs
	for _, p := range in {
		switch {
		case p.Kind == KindArg && out.Withheld():
			continue
		case p.Kind == KindArg || p.Kind == KindValue:
			p.Value, p.Hidden = nil, true
		}
		out = append(out, p)
	}
	return out
}

// Withheld tells that there was a command line, but is not here.
func (in Inputs) Withheld() bool {
	for _, p := range in {
		if p.Kind == KindArg && p.withheld() {
			return true
		}
	}
	return false
}

func (p Part) withheld() bool { return p.Hidden && len(p.Value) == 0 }
