package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInheritedDescriptorsOfManyCommands checks that the commands of a Signals inherit their own
// files only, on the same number, also after it has reserved that number, and that it leaves
// nothing open.
func TestInheritedDescriptorsOfManyCommands(t *testing.T) {
	needsProc(t)
	s := Catch()
	defer s.Stop()
	dir := t.TempDir()
	plain, rec := command(t, "/bin/sh", "-c", listDescriptors)
	run(t, plain)
	before := strings.Split(hidePipes(rec.bytes(Stdout)), "\n")
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			var files []*os.File
			for j := range 1 + i/3 { // one command has two files, and does not fit the reservation
				f, err := os.Create(filepath.Join(dir, fmt.Sprint("file", i, j)))
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				files = append(files, f)
			}
			for range 3 * manyStarts {
				c, rec := command(t, "/bin/sh", "-c", listDescriptors)
				c.Inherit = files
				if _, err := c.Run(t.Context(), s); err != nil {
					t.Error(err)
					return
				}
				got := strings.Split(hidePipes(rec.bytes(Stdout)), "\n")
				got = slices.DeleteFunc(got, func(s string) bool { return slices.Contains(before, s) })
				var want []string
				for j, f := range files {
					want = append(want, fmt.Sprint(277+j, " ", f.Name()))
				}
				if !slices.Equal(got, want) {
					t.Errorf("command %d has, besides %q: %q, want %q", i, before, got, want)
				}
			}
		})
	}
	all.Wait()
	if !s.numbers.reserved.Load() {
		t.Error("no numbers are reserved")
	}
	s.Stop()
	for fd := 277; fd < 280; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && !isCallers(fd) {
			t.Errorf("descriptor %d is still open", fd)
		}
	}
}
