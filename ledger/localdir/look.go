package localdir

// Look is what tells one state of a file from another without reading it.
type Look struct {
	Inode    uint64
	Size     int64 // in bytes
	Modified int64 // nanoseconds since 1970
}

// Look returns the look of the file that has the name. It does not follow a link.
func (d *Dir) Look(name string) (Look, error) {
	root, err := d.fd()
	if err != nil {
		return Look{}, err
	}
	st, err := statat(root, name)
	return Look{st.Ino, st.Size, st.Mtim.Nano()}, d.fault("lstat", name, err)
}
