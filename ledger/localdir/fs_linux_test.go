package localdir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// TestRemoteFileSystemsAreRefusedAndLeftAlone tries a directory that exists and one that
// would have to be created. Both are refused and nothing is changed.
func TestRemoteFileSystemsAreRefusedAndLeftAlone(t *testing.T) {
	defer func() { testOnlyFSType = 0 }()
	for _, magic := range []int64{unix.NFS_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.V9FS_MAGIC, unix.FUSE_SUPER_MAGIC, 0x6a656a63} {
		parent := t.TempDir()
		empty, none := filepath.Join(parent, "empty"), filepath.Join(parent, "a", "none")
		if err := os.Mkdir(empty, 0o755); err != nil {
			t.Fatal(err)
		}
		testOnlyFSType = magic
		for _, place := range []string{empty, none} {
			d, _, err := Find(place, false)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Make(); !errors.Is(err, ledger.ErrUnsafe) {
				t.Errorf("%s: got error %v, want ErrUnsafe", remote(magic), err)
			}
		}
		if err := New(empty).CheckFS(); !errors.Is(err, ledger.ErrUnsafe) {
			t.Errorf("%s: got error %v, want ErrUnsafe", remote(magic), err)
		}
		if info, err := os.Stat(empty); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: the directory was changed: %v, %v", remote(magic), info, err)
		}
		if _, err := os.Lstat(filepath.Dir(none)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a directory was made (%v)", remote(magic), err)
		}
	}
	for _, magic := range []int64{unix.EXT4_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC} {
		testOnlyFSType = magic
		if err := New(t.TempDir()).CheckFS(); err != nil {
			t.Errorf("type %x: %v", magic, err)
		}
	}
}
