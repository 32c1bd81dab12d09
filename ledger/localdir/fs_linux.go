package localdir

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// remote returns the name of a file system that is refused, by its magic number (statfs(2),
// linux/magic.h): one of a network, of a user-space program or of a hypervisor. On them,
// locks or SQLite's shared memory may silently not work between all processes that see the
// file. It returns "" for any other.
func remote(magic int64) string {
	switch magic {
	case unix.NFS_SUPER_MAGIC:
		return "NFS"
	case unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return "SMB"
	case unix.V9FS_MAGIC:
		return "9p"
	case unix.FUSE_SUPER_MAGIC:
		return "FUSE"
	case unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC:
		return "AFS"
	case unix.CEPH_SUPER_MAGIC:
		return "Ceph"
	case unix.CODA_SUPER_MAGIC:
		return "Coda"
	case unix.NCP_SUPER_MAGIC:
		return "NCP"
	case unix.OCFS2_SUPER_MAGIC:
		return "OCFS2"
	case 0x01161970:
		return "GFS2"
	case 0x0bd00bd0:
		return "Lustre"
	case 0x47504653:
		return "GPFS"
	case 0x6a656a63:
		return "virtiofs"
	}
	return ""
}

// testOnlyFSType overrides the result of statfs, for file systems that a test cannot
// mount.
var testOnlyFSType int64

// checkFS returns an error if the file system of dir cannot hold a ledger.
func checkFS(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	t := int64(st.Type) & 0xffffffff
	if testOnlyFSType != 0 {
		t = testOnlyFSType
	}
	if name := remote(t); name != "" {
		return fmt.Errorf("%w: %s is on %s, where locks cannot be trusted", ledger.ErrUnsafe, dir, name)
	}
	return nil
}

// Unnamed creates a file in a subdirectory that never has a name, so even a kill -9
// leaves nothing behind. With O_EXCL, the file cannot get a name later.
func (d *Dir) Unnamed(in string) (*os.File, error) {
	f, err := d.Open(in, os.O_RDWR|os.O_EXCL|unix.O_TMPFILE, 0o600)
	if err != nil {
		return d.createRemoved(in) // not every file system has O_TMPFILE
	}
	return f, nil
}
