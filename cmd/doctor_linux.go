package cmd

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// diskOf describes the file system of a file.
func diskOf(path string) (disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return disk{}, err
	}
	// The file systems on which a ledger is usual, by their magic numbers (statfs(2), linux/magic.h).
	kind := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
		unix.RAMFS_MAGIC: "ramfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.F2FS_SUPER_MAGIC: "f2fs", 0x2fc12fc1: "zfs",
	}[int64(st.Type)&0xffffffff]
	if kind == "" {
		kind = fmt.Sprintf("a file system of type %#x", int64(st.Type)&0xffffffff)
	}
	return disk{kind, int64(st.Bavail) * int64(st.Bsize), st.Files, st.Ffree}, nil
}
