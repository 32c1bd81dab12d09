package localdir

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFill(t *testing.T) {
	d := New(t.TempDir())
	t.Cleanup(d.Close)
	if err := os.Mkdir(d.File("taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, content string
		fails         bool
	}{{"f", "a longer content", false}, {"f", "short", false}, {"taken", "x", true}} {
		if err := d.Fill(test.name, []byte(test.content)); (err != nil) != test.fails {
			t.Errorf("Fill(%q): %v", test.name, err)
		}
		if left, err := filepath.Glob(d.File("*.new")); len(left) > 0 || err != nil {
			t.Errorf("Fill(%q) leaves %v behind (%v)", test.name, left, err)
		}
	}
	if got, err := os.ReadFile(d.File("f")); string(got) != "short" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
