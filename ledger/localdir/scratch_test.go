package localdir

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestRawFilesHaveNoName checks the files in the ledger's directory that hold raw input
// and output of a command. They have no name, even where the kernel cannot create files
// without one.
func TestRawFilesHaveNoName(t *testing.T) {
	d := New(t.TempDir())
	if err := d.Mkdir("output"); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func() (*os.File, error){
		"scratch": d.Scratch,
		"removed": func() (*os.File, error) { return d.createRemoved("output") },
		"backlog": func() (*os.File, error) {
			b, err := d.Backlog()
			if err != nil {
				return nil, err
			}
			return b.File, nil
		},
	} {
		f, err := make()
		if err != nil {
			t.Fatal(name, err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(name, err)
		}
		if n := info.Sys().(*syscall.Stat_t).Nlink; n != 0 {
			t.Errorf("%s: got a file with %d names, want 0", name, n)
		}
		if names, err := os.ReadDir(filepath.Join(d.Path(), "output")); err != nil || len(names) > 0 {
			t.Errorf("%s: output has %v, error %v, want nothing", name, names, err)
		}
	}
}
