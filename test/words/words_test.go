package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRulesBite checks each rule with sentences that it must and must not find.
func TestRulesBite(t *testing.T) {
	tests := []struct {
		text string
		rule string // "" if there is nothing to find
	}{
		{"What differs is refused.", "headless"},
		{"Done. Who opens it waits.", "headless"},
		{"That it failed is the greater news.", "headless"},
		{"Of these only hashes are kept.", "headless"},
		{"What happens on the next call?", ""},
		{"`What` is a name.", ""},
		{"It is shown to who can guess it.", "who"},
		{"It is known by whoever asks.", "who"},
		{"Nobody waits for it.", "actor"},
		{"It keeps others out.", "actor"},
		{"A file of ours is closed.", "actor"},
		{"It takes 40 us for each.", ""},
		{"The command leads a session of its own.", "own"},
		{"The user gives his password.", "he"},
		{"done tells whether it ran.", "reports"},
		{"It is synced, so that the record is safe.", "so"},
		{"It is synced so that a reader can trust it.", ""},
		{"A failed hook is no error.", "no"},
		{"There is no record.", ""},
		{"The key is no longer held.", ""},
		{"The log begins anew.", "word"},
		{"It starts half as fast again.", "word"},
		{"A note stands behind it.", "stands"},
		{"K stands for the key." + strings.Repeat(" word", 20), ""},
		{strings.Repeat("word ", maxWords+1) + "end.", "long"},
	}
	for _, test := range tests {
		var rules []string
		for _, f := range check(piece{lines: []string{test.text}, first: 1}) {
			rules = append(rules, f.rule)
		}
		if got := strings.Join(slices.Compact(rules), " "); got != test.rule {
			t.Errorf("%q breaks %q, want %q", test.text, got, test.rule)
		}
	}
	for _, r := range rules {
		if !slices.ContainsFunc(tests, func(test struct{ text, rule string }) bool { return test.rule == r.name }) {
			t.Errorf("no sentence tries the rule %s", r.name)
		}
		if r.why == "" {
			t.Errorf("the rule %s has no reason", r.name)
		}
	}
}

// TestPlaces checks which parts of a file are read, and the line numbers.
func TestPlaces(t *testing.T) {
	files := map[string]struct {
		content string
		want    string
	}{
		"a.md": {
			"# What it is\n\nGood one. A sentence\nbegins anew\nhere.\n\n```sh\necho anew\n```\n\n| anew | x |\n\n- an item\n- What else.\n<!-- anew -->\nThe `anew` of code.\n",
			"4 word, 11 word, 14 headless",
		},
		"a.go": {
			"// Package a begins anew.\npackage a\n\n//go:generate anew\n\n// f does it.\n//\n//\tanew\nfunc f() {\n\t_ = \"anew\" // what is left\n}\n",
			"1 word, 10 headless",
		},
		"a.sh": {
			"#!/bin/sh anew\n# It begins\n# anew.\necho anew\n# shellcheck disable=anew\n",
			"3 word",
		},
		"cli.md": {
			"```\n  --flag   what is kept anew\n```\n",
			"2 word",
		},
		"b.txt": {"anew", ""},
	}
	for name, f := range files {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(f.content), 0o644); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		n, err := run(&out, []string{dir})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for l := range strings.Lines(out.String()) {
			var line int
			var rule string
			if _, err := fmt.Sscanf(strings.TrimPrefix(l, filepath.Join(dir, name)+":"), "%d: %s", &line, &rule); err != nil {
				t.Fatalf("%q: %v", l, err)
			}
			got = append(got, fmt.Sprintf("%d %s", line, strings.TrimSuffix(rule, ":")))
		}
		if s := strings.Join(got, ", "); s != f.want || n != len(got) {
			t.Errorf("%s: found %q, want %q (%d)", name, s, f.want, n)
		}
	}
}
