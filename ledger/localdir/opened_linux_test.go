package localdir

import (
	"os"
	"testing"
)

func TestOpened(t *testing.T) {
	d := New(t.TempDir())
	defer d.Close()
	f, err := d.Create("f", os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	if open, err := d.Opened("f"); !open || err != nil {
		t.Errorf("an open file: got %v, %v", open, err)
	}
	f.Close()
	if open, err := d.Opened("f"); open || err != nil {
		t.Errorf("a closed file: got %v, %v", open, err)
	}
	if err := os.Symlink("f", d.File("link")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Opened("link"); err == nil {
		t.Error("a link was followed")
	}
}
