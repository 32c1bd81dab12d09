package cmd

import (
	"slices"
	"strings"
	"testing"
)

func TestCells(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "plain": 5, "größe": 5, "gro\u0308ße": 5, "日本語": 6, "ｆｕｌｌ": 8, "ﾊﾝ": 2, "🚀": 2, "●×✓…": 4, "a\u200db": 2, "한": 2,
		"\u1112\u1161\u11ab": 2, "नमस्ते": 4,
	} {
		if got := cells(text); got != want {
			t.Errorf("%q: got %d cells, want %d", text, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		text string
		room int
		want string
	}{
		{"abcdef", 6, "abcdef"},
		{"abcdef", 5, "ab…ef"},
		{"abcdef", 4, "ab…f"},
		{"abcdef", 2, "a…"},
		{"abcdef", 1, "…"},
		{"abcdef", 0, ""},
		{"日本語日本語", 12, "日本語日本語"},
		{"日本語日本語", 9, "日本…本語"},
		{"日本語日本語", 8, "日本…語"}, // a wide character is not cut
		{"ae\u0301bcde\u0301", 5, "ae\u0301…de\u0301"},
		{"\u0301\u0301\u0301", 0, "\u0301\u0301\u0301"},
	} {
		if got := shorten(c.text, c.room); got != c.want {
			t.Errorf("%q in %d cells: got %q, want %q", c.text, c.room, got, c.want)
		}
	}
}

// FuzzShorten checks that a shortened text fits, and is a beginning and an end of the text.
func FuzzShorten(f *testing.F) {
	for _, s := range oddTexts {
		f.Add(s, 3)
	}
	f.Add("migrate:日本語/e\u0301\u0301x", 7)
	f.Fuzz(func(t *testing.T, s string, room int) {
		s, room = escape(s), max(0, room%300)
		got := shorten(s, room)
		head, tail, cut := strings.Cut(got, ellipsis)
		if cells(got) > room && cells(s) > 0 || cells(s) <= room && got != s || got != s && got != "" && (!cut || !strings.HasPrefix(s, head) || !strings.HasSuffix(s, tail)) {
			t.Fatalf("%q in %d cells: got %q", s, room, got)
		}
	})
}

// A table shows a column as soon as it tells something, under a new head.
func TestScreenTable(t *testing.T) {
	var b strings.Builder
	x := &screenTable{to: &b, width: 40, columns: []column{{"A", true, always}, {"SEVERAL", false, several}, {"FILLED", false, filled}, {"KEY", false, always}}}
	row := func(texts ...string) {
		if err := x.add(screenRow{texts: texts}); err != nil {
			t.Fatal(err)
		}
	}
	row("1", "s", "", "k")
	row("200", "s", "", strings.Repeat("x", 30)+strings.Repeat("y", 30))
	testFlush(t, x)
	row("3", "t", "f", "日本語")
	testFlush(t, x)
	row("4", "s", strings.Repeat("long", 5), "whole key, however long it is, on its own line")
	testFlush(t, x)
	if err := x.foot("2 keys", "(hint)", strings.Repeat("f", 30)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"  A  KEY",
		"  1  k",
		"200  xxxxxxxxxxxxxxxxx…yyyyyyyyyyyyyyyyy",
		"  A  SEVERAL  FILLED  KEY",
		"  3  t        f       日本語",
		"  4  s        longlonglonglonglong",
		"  whole key, however long it is, on its own line",
		"2 keys  (hint)",
		strings.Repeat("f", 30),
	}
	if got := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func testFlush(t *testing.T, x *screenTable) {
	t.Helper()
	if err := x.flush(); err != nil {
		t.Fatal(err)
	}
}

func TestFold(t *testing.T) {
	for _, c := range []struct {
		text string
		room int
		want []string
	}{
		{"", 5, []string{""}},
		{"ab cd ef", 5, []string{"ab cd", "ef"}},
		{"ab cd ef", 4, []string{"ab", "cd", "ef"}},
		{"abcdefgh ij", 4, []string{"abcd", "efgh", "ij"}},
		{"  abc de", 5, []string{"  abc", "de"}},
		{"日本語", 4, []string{"日本", "語"}},
		{"日本語", 1, []string{"日", "本", "語"}},
		{"e\u0301e\u0301e", 2, []string{"e\u0301e\u0301", "e"}},
		{"ab", 0, []string{"a", "b"}},
	} {
		if got := fold(c.text, c.room); !slices.Equal(got, c.want) {
			t.Errorf("%q in %d cells: got %q, want %q", c.text, c.room, got, c.want)
		}
	}
}

func FuzzFold(f *testing.F) {
	f.Add("some words of a text", 7)
	f.Fuzz(func(t *testing.T, s string, room int) {
		s, room = escape(s), max(2, room%300)
		lines := fold(s, room)
		for _, line := range lines {
			if cells(line) > room {
				t.Fatalf("%q in %d cells: got %q", s, room, line)
			}
		}
		without := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if without(strings.Join(lines, "")) != without(s) {
			t.Fatalf("%q in %d cells: got %q, want all of its text", s, room, lines)
		}
	})
}
