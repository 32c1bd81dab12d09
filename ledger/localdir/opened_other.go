//go:build !linux

package localdir

import (
	"errors"
)

// Opened reports whether a process has a file open. This system cannot tell.
func (d *Dir) Opened(string) (bool, error) { return false, errors.ErrUnsupported }
