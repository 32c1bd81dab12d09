//go:build !linux

package localdir

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// checkFS returns an error if the file system of dir cannot hold a ledger.
func checkFS(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if st.Flags&unix.MNT_LOCAL == 0 {
		return fmt.Errorf("%w: %s is on a network file system, where locks cannot be trusted", ledger.ErrUnsafe, dir)
	}
	return nil
}

// Unnamed creates a file without a name in a subdirectory.
func (d *Dir) Unnamed(in string) (*os.File, error) { return d.createRemoved(in) }
