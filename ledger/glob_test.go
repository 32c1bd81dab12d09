package ledger

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseGlob(t *testing.T) {
	for pattern, want := range map[string]error{
		"": nil, "*": nil, "a[b-c]d": nil, "[]]": nil, "[^]]": nil, "[[]": nil, "]": nil,
		"[": ErrOpenSet, "a[b": ErrOpenSet, "[]": ErrOpenSet, "[^]": ErrOpenSet, "[a][": ErrOpenSet,
	} {
		if got, err := ParseGlob(pattern); !errors.Is(err, want) || err == nil && got != Glob(pattern) {
			t.Errorf("ParseGlob(%q): got %q, error %v, want error %v", pattern, got, err, want)
		}
	}
	if _, err := ParseGlob(strings.Repeat("*", maxGlob+1)); err == nil || errors.Is(err, ErrOpenSet) {
		t.Errorf("got error %v for a pattern that is too long", err)
	}
}

func TestGlobMatch(t *testing.T) {
	for _, test := range []struct {
		pattern Glob
		key     string
		want    bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "a/b:c", true},
		{"a*", "ba", false},
		{"*a", "aba", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-b-b-cd", false},
		{"*ab", "aab", true},
		{"?", "é", true},
		{"?", "", false},
		{"[a-c]", "b", true},
		{"[^a-c]", "b", false},
		{"[]x]", "]", true},
		{"*[0-9]", "deploy:7", true},
		{"*[0-9]", "deploy:x", false},
	} {
		if got := test.pattern.Match(test.key); got != test.want {
			t.Errorf("Glob(%q).Match(%q): got %t, want %t", test.pattern, test.key, got, test.want)
		}
	}
}

// TestGlobWithManyStars checks that many stars do not make a match slow. With
// exponential backtracking, the match would not end.
func TestGlobWithManyStars(t *testing.T) {
	done := make(chan bool, 1)
	go func() { done <- Glob(strings.Repeat("*a", 100) + "b").Match(strings.Repeat("a", 255)) }()
	select {
	case got := <-done:
		if got {
			t.Error("got a match, want none")
		}
	case <-time.After(time.Minute):
		t.Fatal("the match does not end")
	}
}
