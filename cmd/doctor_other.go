//go:build !linux

package cmd

import "golang.org/x/sys/unix"

// diskOf describes the file system of a file.
func diskOf(path string) (disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return disk{}, err
	}
	kind := unix.ByteSliceToString(st.Fstypename[:])
	return disk{kind, int64(st.Bavail) * int64(st.Bsize), uint64(st.Files), uint64(st.Ffree)}, nil
}
