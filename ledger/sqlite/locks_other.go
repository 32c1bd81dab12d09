//go:build !linux

package sqlite

// newLocks returns the locks of the ledger in dir.
func newLocks(dir string) lockSpace { return newFlocks(dir) }
