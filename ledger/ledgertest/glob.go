package ledgertest

// glob tells whether s matches pattern as SQLite's GLOB has it: * is any run of
// characters, slashes included, ? is one character, [a-z] and [^a-z] are sets,
// and there is no escape.
func glob(pattern, s []rune) bool {
	if len(pattern) == 0 {
		return len(s) == 0
	}
	switch pattern[0] {
	case '*':
		return glob(pattern[1:], s) || len(s) > 0 && glob(pattern, s[1:])
	case '?':
		return len(s) > 0 && glob(pattern[1:], s[1:])
	case '[':
		if len(s) == 0 {
			return false
		}
		in, rest, ok := inSet(pattern[1:], s[0])
		return ok && in && glob(rest, s[1:])
	default:
		return len(s) > 0 && s[0] == pattern[0] && glob(pattern[1:], s[1:])
	}
}

// inSet reads a set up to its closing bracket. A bracket that comes first is a
// member; a set that is not closed matches nothing.
func inSet(set []rune, c rune) (in bool, rest []rune, ok bool) {
	not := len(set) > 0 && set[0] == '^'
	if not {
		set = set[1:]
	}
	for i := 0; i < len(set); i++ {
		if set[i] == ']' && i > 0 {
			return in != not, set[i+1:], true
		}
		low, high := set[i], set[i]
		if i+2 < len(set) && set[i+1] == '-' && set[i+2] != ']' {
			high = set[i+2]
			i += 2
		}
		in = in || low <= c && c <= high
	}
	return false, nil, false
}
