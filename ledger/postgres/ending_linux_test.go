package postgres

import (
	"maps"
	"slices"
	"testing"
)

// TestFamily checks which processes are killed with a command. The IDs are above those of Linux.
func TestFamily(t *testing.T) {
	const seen, child, grandchild, other = 1 << 23, 1<<23 + 1, 1<<23 + 2, 1<<23 + 3
	all := map[int]process{seen: {1, 100}, child: {seen, 100}, grandchild: {child, 200}, other: {1, 50}}
	for name, test := range map[string]struct {
		change func(all map[int]process)
		seen   []int
		known  map[int]uint64
		spared int
		want   []int
	}{
		"descendants":           {seen: []int{seen}, want: []int{seen, child, grandchild}},
		"spared":                {seen: []int{seen}, spared: child, want: []int{seen}},
		"known":                 {known: map[int]uint64{child: 100}, want: []int{child, grandchild}},
		"ID of a known one":     {known: map[int]uint64{other: 49}},
		"began after the table": {change: func(all map[int]process) { delete(all, seen) }, seen: []int{seen}},
		// The parent has ended, its child has another parent by now, and another process has the ID.
		"ID of a parent": {change: func(all map[int]process) { all[seen] = process{1, 300} }, seen: []int{seen}, want: []int{seen}},
	} {
		all := maps.Clone(all)
		if test.change != nil {
			test.change(all)
		}
		found := withDescendants(all, test.seen, test.known, func(pid int) bool { return pid == test.spared })
		if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func TestParseStat(t *testing.T) {
	const rest = " 0 -1 4194560 115 0 0 0 1 2 3 4 20 0 "
	for stat, want := range map[string]process{
		"7 (sh) S 5 7 7" + rest + "1 0 123 0":              {5, 123},
		"7 (a) b) Z 1 ( ) R 5 7 7" + rest + "1 0 123 0":    {5, 123},
		"7 (first thread) Z 5 7 7" + rest + "2 0 123 0":    {5, 123},
		"7 (eleven threads) Z 5 7 7" + rest + "11 0 123 0": {5, 123},
		"7 (zombie) Z 5 7 7" + rest + "1 0 123 0":          {},
		"7 (dead) X 5 7 7" + rest + "0 0 123 0":            {},
		"7 (cut) S 5 7 7":                                  {},
		"":                                                 {},
	} {
		if got, lives := parseStat([]byte(stat)); got != want || lives != (want != process{}) {
			t.Errorf("%q: got %v, %t", stat, got, lives)
		}
	}
}
