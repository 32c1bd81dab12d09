package cmd

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"idem/ledger"
)

const (
	// maxSimilar is the number of similar keys that a message names.
	maxSimilar = 3
	// minEdited is the length of a key, in characters, from which one edit is a typing error
	// and not another key.
	minEdited = 3
	// similarTime bounds the search. A person waits for the message.
	similarTime = time.Second
)

// similarKeys returns recorded keys that begin with a key that is not recorded, or that
// differ from it by one edit. Those of other namespaces count if its namespace has none.
// It returns none after a fault, because the message is about another one.
func similarKeys(ctx context.Context, l ledger.Ledger, id ledger.ID) []ledger.ID {
	ctx, cancel := context.WithTimeout(ctx, similarTime)
	defer cancel()
	for _, namespace := range []string{id.Namespace, ""} {
		var found []ledger.ID
		for rec, err := range l.List(ctx, ledger.Filter{Namespace: namespace, Globs: similarGlobs(id.Key)}) {
			if err != nil {
				break
			}
			other := ledger.ID{Namespace: rec.ID.Namespace, Key: rec.ID.Key} // in any window
			if other != (ledger.ID{Namespace: id.Namespace, Key: id.Key}) && (strings.HasPrefix(other.Key, id.Key) || oneEdit(id.Key, other.Key)) && !slices.Contains(found, other) {
				if found = append(found, other); len(found) == maxSimilar {
					break
				}
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// similarHints returns a hint for each similar key. It only shows the key: which one was meant
// is for a person to say.
func similarHints(ctx context.Context, l ledger.Ledger, id ledger.ID) []hint {
	f := &failure{}
	for _, other := range similarKeys(ctx, l, id) {
		why := "a similar key"
		if other.Namespace != id.Namespace {
			why += " in namespace " + quote(other.Namespace)
		}
		f.hintFor(other, why, "show")
	}
	return f.hints
}

// similarGlobs returns patterns for all keys that begin with key or differ by one edit. They match
// few other keys: one half must be equal, and the other half must have almost its length.
func similarGlobs(key string) ledger.Globs {
	globs := ledger.Globs{ledger.Glob(globText(key) + "*")}
	runes := []rune(key)
	if len(runes) < minEdited {
		return globs
	}
	head, tail := runes[:len(runes)/2], runes[len(runes)/2:]
	for d := -1; d <= 1; d++ {
		globs = append(globs,
			ledger.Glob(globText(string(head))+strings.Repeat("?", len(tail)+d)),
			ledger.Glob(strings.Repeat("?", len(head)+d)+globText(string(tail))))
	}
	return globs
}

// globText returns the pattern that matches exactly a text.
func globText(text string) string {
	return strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]").Replace(text)
}

// oneEdit reports whether two texts differ by one character that is missing, added or
// replaced, or by two that are exchanged.
func oneEdit(a, b string) bool {
	if utf8.RuneCountInString(a) < minEdited {
		return false
	}
	x, y := []rune(a), []rune(b)
	for len(x) > 0 && len(y) > 0 && x[0] == y[0] {
		x, y = x[1:], y[1:]
	}
	for len(x) > 0 && len(y) > 0 && x[len(x)-1] == y[len(y)-1] {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	exchanged := len(x) == 2 && len(y) == 2 && x[0] == y[1] && x[1] == y[0]
	return a != b && (len(x) <= 1 && len(y) <= 1 || exchanged)
}
