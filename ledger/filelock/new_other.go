//go:build !linux

package filelock

import "idem/ledger/localdir"

// New returns the locks of the ledger in dir.
func New(dir *localdir.Dir) Space { return NewFlocks(dir) }
