package items

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// object returns the key fields and the used fields of a JSON object, or why it cannot be
// an item.
func (r *Reader) object(text []byte) (keys, values []string, err error) {
	text = bytes.Trim(text, " \t\r")
	switch {
	case !utf8.Valid(text):
		return nil, nil, errors.New("is not valid UTF-8") // encoding/json would change the bytes
	case !json.Valid(text):
		return nil, nil, fmt.Errorf("is not JSON: %w", json.Unmarshal(text, new(json.RawMessage)))
	case text[0] != '{':
		return nil, nil, errors.New("is not a JSON object")
	}
	if r.members, err = members(r.members[:0], text); err != nil {
		return nil, nil, err
	}
	if keys, err = scalars(r.members, r.keys); err != nil {
		return nil, nil, err
	}
	values, err = scalars(r.members, r.use)
	return keys, values, err
}

// member is a member of an object: its name and the bytes of its value.
type member struct {
	name  string
	value []byte
}

// members appends the members of a valid object.
func members(to []member, object []byte) ([]member, error) {
	for i := skip(object, 1, ""); object[i] != '}'; i = skip(object, i, ",") {
		end := valueEnd(object, i)
		name, err := text(object[i:end])
		if err != nil {
			return nil, err
		}
		i = skip(object, end, ":")
		end = valueEnd(object, i)
		to = append(to, member{name, object[i:end]})
		i = end
	}
	names := make([]string, len(to))
	for i, m := range to {
		names[i] = m.name
	}
	slices.Sort(names)
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			return nil, fmt.Errorf("has two fields %q", names[i])
		}
	}
	return to, nil
}

// skip returns the position after spaces and the given bytes.
func skip(b []byte, i int, also string) int {
	for bytes.IndexByte([]byte(" \t\r\n"+also), b[i]) >= 0 {
		i++
	}
	return i
}

// valueEnd returns the end of the value that begins at i in valid JSON.
func valueEnd(b []byte, i int) int {
	depth := 0
	for {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			i++
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\r', '\n':
			i++
		default:
			for i < len(b) && bytes.IndexByte([]byte(",:]} \t\r\n"), b[i]) < 0 {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
}

// scalars returns the values of the named members: a string as it is, a number and a
// boolean as they are written.
func scalars(members []member, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	values := make([]string, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(members, func(m member) bool { return m.name == name })
		if i < 0 {
			return nil, fmt.Errorf("has no field %q", name)
		}
		switch v := members[i].value; v[0] {
		case '"':
			s, err := text(v)
			if err != nil {
				return nil, err
			}
			values = append(values, s)
		case 'n':
			return nil, fmt.Errorf("has null in the field %q", name)
		case '{':
			return nil, fmt.Errorf("has an object in the field %q", name)
		case '[':
			return nil, fmt.Errorf("has an array in the field %q", name)
		default:
			values = append(values, string(v))
		}
	}
	return values, nil
}

// text decodes a string of valid JSON. It refuses half of a surrogate pair, because
// encoding/json makes the same character of each.
func text(quoted []byte) (string, error) {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), nil
	}
	for i := 0; i < len(inner); i++ {
		if inner[i] != '\\' {
			continue
		}
		i++
		if inner[i] != 'u' {
			continue
		}
		r := hex4(inner[i+1:])
		i += 4
		if !utf16.IsSurrogate(r) {
			continue
		}
		if !bytes.HasPrefix(inner[i+1:], []byte(`\u`)) || utf16.DecodeRune(r, hex4(inner[i+3:])) == utf8.RuneError {
			return "", errors.New("has half of a surrogate pair in a string")
		}
		i += 6
	}
	var s string
	err := json.Unmarshal(quoted, &s)
	return s, err
}

// hex4 returns the character of four hexadecimal digits.
func hex4(b []byte) rune {
	n, _ := strconv.ParseUint(string(b[:4]), 16, 32)
	return rune(n)
}
