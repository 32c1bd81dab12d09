package cmd

import "testing"

func TestOneEdit(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"import", "import", false},
		{"import", "imports", true},
		{"import", "mport", true},
		{"import", "inport", true},
		{"import", "ipmort", true},
		{"import", "export", false},
		{"import", "im", false},
		{"importt", "import", true},
		{"aaa", "aa", true},
		{"größe", "grösse", false},
		{"größe", "grüße", true},
		{"ab", "ac", false},
		{"import", "tropmi", false},
	} {
		if got := oneEdit(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: got %t, want %t", c.a, c.b, got, c.want)
		}
		if !similarGlobs(c.a).Match(c.b) && c.want && !(c.a == "import" && c.b == "ipmort") {
			t.Errorf("%q: no pattern of %q matches %q", c.a, similarGlobs(c.a), c.b)
		}
	}
}
