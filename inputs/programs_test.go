package inputs

import (
	"strings"
	"testing"
)

func TestScriptOf(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"sh script", "script"},
		{"/bin/bash -eu ./script a b", "./script"},
		{"bash -euo pipefail script", "script"},
		{"bash -O extglob --norc script", "script"},
		{"bash -e script", "script"},
		{"sh -c script", ""},
		{"sh -ec script", ""},
		{"bash -lc script", ""},
		{"sh -s a", "a"}, // Programs finds no such file
		{"sh", ""},
		{"sh -", "-"},
		{"python3 x.py data", "x.py"},
		{"python3.11 -u x.py", "x.py"},
		{"python -W ignore x.py", "x.py"},
		{"python -m http.server x", ""},
		{"python -c code x", ""},
		{"perl -ne code data", ""},
		{"node --require dotenv x.js", "x.js"},
		{"ruby -e code x", ""},
		{"php -d a=b x.php", "x.php"},
		{"rsync script x", ""},
		{"sudo sh script", ""},
	} {
		if got := scriptOf(strings.Fields(test.line)); got != test.want {
			t.Errorf("%s: got %q, want %q", test.line, got, test.want)
		}
	}
}
