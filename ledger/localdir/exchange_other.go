//go:build !linux && !darwin

package localdir

import (
	"os"

	"golang.org/x/sys/unix"
)

// Exchange returns an error, because this system cannot exchange names in one step.
func Exchange(a, b string) error {
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: unix.ENOSYS}
}
