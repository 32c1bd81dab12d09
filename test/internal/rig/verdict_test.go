package rig

import (
	"flag"
	"testing"
)

func TestWhole(t *testing.T) {
	for _, c := range []struct {
		args []string
		want bool
	}{
		{nil, true},
		{[]string{"-keys", "1000"}, true}, // the default
		{[]string{"-keys", "10"}, false},
		{[]string{"-ledger", "made"}, true},
		{[]string{"-ledger", "made", "-keys", "10"}, false},
	} {
		f := flag.NewFlagSet("program", flag.PanicOnError)
		f.Int("keys", 1000, "")
		f.String("ledger", "", "")
		_ = f.Parse(c.args) // it panics
		if got := Whole(f, "ledger"); got != c.want {
			t.Errorf("Whole of %q = %t, want %t", c.args, got, c.want)
		}
	}
}
