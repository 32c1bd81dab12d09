package localdir

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// remote are the file systems that are refused, by their magic number (statfs(2),
// linux/magic.h): those of networks, user-space programs and hypervisors. On them, locks
// or SQLite's shared memory may silently not work between all processes that see the
// file.
var remote = map[int64]string{
	unix.NFS_SUPER_MAGIC:   "NFS",
	unix.SMB_SUPER_MAGIC:   "SMB",
	unix.CIFS_SUPER_MAGIC:  "SMB",
	unix.SMB2_SUPER_MAGIC:  "SMB",
	unix.V9FS_MAGIC:        "9p",
	unix.FUSE_SUPER_MAGIC:  "FUSE",
	unix.AFS_SUPER_MAGIC:   "AFS",
	unix.AFS_FS_MAGIC:      "AFS",
	unix.CEPH_SUPER_MAGIC:  "Ceph",
	unix.CODA_SUPER_MAGIC:  "Coda",
	unix.NCP_SUPER_MAGIC:   "NCP",
	unix.OCFS2_SUPER_MAGIC: "OCFS2",
	0x01161970:             "GFS2",
	0x0bd00bd0:             "Lustre",
	0x47504653:             "GPFS",
	0x6a656a63:             "virtiofs",
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
	if name, ok := remote[t]; ok {
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
