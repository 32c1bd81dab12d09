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
// member, but begins no range; the first of a range that runs backwards is a
// member yet; a set that is not closed matches nothing.
func inSet(set []rune, c rune) (in bool, rest []rune, ok bool) {
	not := len(set) > 0 && set[0] == '^'
	if not {
		set = set[1:]
	}
	if len(set) > 0 && set[0] == ']' {
		in, set = c == ']', set[1:]
	}
	var low rune // what a range may begin with
	for i := 0; i < len(set); i++ {
		switch {
		case set[i] == ']':
			return in != not, set[i+1:], true
		case set[i] == '-' && low > 0 && i+1 < len(set) && set[i+1] != ']':
			i++
			in = in || low <= c && c <= set[i]
			low = 0
		default:
			in = in || c == set[i]
			low = set[i]
		}
	}
	return false, nil, false
}
