package cmd

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"idem/ledger"
)

const (
	// maxWhole is the number of keys that are offered as they are. If more begin with a text,
	// their next parts are offered.
	maxWhole = 50
	// maxParts is the number of parts that are offered. If there are more, the parts are
	// characters.
	maxParts = 100
	// maxLatest is the number of records that are looked at in a ledger without an order of its
	// keys, the latest ones.
	maxLatest = 1000
	// aboutTime bounds the search for the states of keys. The keys are offered without it.
	aboutTime = lookTime / 2
)

// keysAt returns the recorded keys that begin with a text, or their parts up to the next
// separator.
func (a *app) keysAt(ctx context.Context, text string) completions {
	none := completions{directive: noFiles}
	l, err := a.openLedger()
	if err != nil {
		return none
	}
	namespace := cmp.Or(a.namespace, defaultNamespace)
	next, err := nextKeys(ctx, l, namespace, text)
	if err != nil {
		return none
	}
	parts, whole, err := keyParts(next, text)
	if err != nil {
		return none
	}
	c := completions{directive: noFiles}
	if !whole {
		c.directive |= noSpace
	}
	about, cancel := context.WithTimeout(ctx, aboutTime)
	defer cancel()
	for _, part := range parts {
		one := candidate{value: part}
		switch {
		case !insertable(part):
			continue
		case whole && about.Err() == nil:
			records, err := ledger.Collect(l.List(about, ledger.Filter{Namespace: namespace, Key: part, Limit: 1}))
			if err == nil && len(records) == 0 {
				continue // it was forgotten with the key above it
			}
			if err == nil {
				one.about = recordAbout(records[0], a.now())
			}
		}
		c.candidates = append(c.candidates, one)
	}
	return c
}

// recordAbout describes a record in a completion.
func recordAbout(r ledger.Record, now time.Time) string {
	return string(r.Phase()) + ", " + ageText(now.Sub(r.Current.Started))
}

// insertable reports whether each shell inserts a text as it is. With a backslash, one of them
// would name another key.
func insertable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r == '\\' || r != ' ' && !unicode.IsGraphic(r) })
}

// nextKey returns the least key from a text on and before another one, "" if there is none.
type nextKey func(from, before string) (string, error)

// nextKeys returns the function for the keys of a namespace that begin with a text.
func nextKeys(ctx context.Context, l ledger.Ledger, namespace, text string) (nextKey, error) {
	if o, ok := l.(ledger.Ordered); ok {
		return func(from, before string) (string, error) { return o.NextKey(ctx, namespace, from, before) }, nil
	}
	records, err := ledger.Collect(l.List(ctx, ledger.Filter{Namespace: namespace, Globs: ledger.Globs{ledger.Glob(globText(text) + "*")}, Limit: maxLatest}))
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(records))
	for i, r := range records {
		keys[i] = r.ID.Key
	}
	slices.Sort(keys)
	return func(from, before string) (string, error) {
		if i, _ := slices.BinarySearch(keys, from); i < len(keys) && keys[i] < before {
			return keys[i], nil
		}
		return "", nil
	}, nil
}

// keyParts returns the keys that begin with a text, if they are few; whole is then true. Else it
// returns the different beginnings of these keys, up to the next : or / after the text. If these
// are many too, they end at the next character in which the keys differ. It asks for one key of
// each beginning, so the number of keys does not matter.
func keyParts(next nextKey, text string) (parts []string, whole bool, err error) {
	parts, err = beginnings(next, text, maxWhole, wholeKey)
	if err != nil || len(parts) <= maxWhole {
		return parts, true, err
	}
	parts, err = beginnings(next, text, maxParts, func(key string) (int, bool) {
		if i := strings.IndexAny(key[len(text):], ":/"); i >= 0 {
			return len(text) + i + 1, false
		}
		return wholeKey(key)
	})
	if err != nil || len(parts) <= maxParts {
		return parts, false, err
	}
	for {
		parts, err = beginnings(next, text, maxParts, func(key string) (int, bool) {
			if key == text {
				return wholeKey(key)
			}
			_, size := utf8.DecodeRuneInString(key[len(text):])
			return len(text) + size, false
		})
		if err != nil || len(parts) != 1 {
			return parts, false, err
		}
		text = parts[0]
	}
}

// wholeKey is the end of a beginning that is the key itself.
func wholeKey(key string) (end int, alone bool) { return len(key), true }

// beginnings returns the different beginnings of the keys that begin with a text. They are sorted,
// and at most limit and one. cut returns where the beginning of a key ends. alone reports that longer keys
// with that beginning have another one.
func beginnings(next nextKey, text string, limit int, cut func(key string) (end int, alone bool)) ([]string, error) {
	var all []string
	for from := text; len(all) <= limit; {
		key, err := next(from, after(text))
		if err != nil || key == "" {
			return all, err
		}
		end, alone := cut(key)
		all = append(all, key[:end])
		if from = after(key[:end]); alone {
			from = key + "\x00"
		}
	}
	return all, nil
}

// after returns the least text that is greater than each text that begins with prefix.
func after(prefix string) string {
	if prefix == "" {
		return "\xff" // no byte of UTF-8
	}
	return prefix[:len(prefix)-1] + string([]byte{prefix[len(prefix)-1] + 1})
}
