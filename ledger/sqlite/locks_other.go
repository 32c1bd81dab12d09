//go:build !linux

package sqlite

// newLocks returns the locks of the ledger in dir.
func newLocks(dir *directory) lockSpace { return newFlocks(dir) }
