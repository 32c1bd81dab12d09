package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// TestRemoteFileSystemsAreRefusedAndLeftAlone: with a ledger there, with an
// empty directory, and with none.
func TestRemoteFileSystemsAreRefusedAndLeftAlone(t *testing.T) {
	defer func() { testOnlyFSType = 0 }()
	ledgers := made(t)
	for _, magic := range []int64{unix.NFS_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.V9FS_MAGIC, unix.FUSE_SUPER_MAGIC, 0x6a656a63} {
		empty, none := fresh(t), filepath.Join(t.TempDir(), "a", "ledger")
		must(t, os.Mkdir(empty, 0o700))
		for _, place := range []string{ledgers, empty, none} {
			root := filepath.Dir(filepath.Dir(place))
			before := look(t, root)
			testOnlyFSType = magic
			err := opens(t, place)
			testOnlyFSType = 0
			if !errors.Is(err, ledger.ErrUnsafe) {
				t.Errorf("%s: got error %v", remote[magic], err)
			}
			if after := look(t, root); after != before {
				t.Errorf("%s: before:\n%safter:\n%s", remote[magic], before, after)
			}
		}
	}
	for _, magic := range []int64{unix.EXT4_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC} {
		testOnlyFSType = magic
		if err := opens(t, ledgers); err != nil {
			t.Error(fmt.Sprintf("%x", magic), err)
		}
	}
}
