package localdir

import (
	"os"

	"golang.org/x/sys/unix"
)

// Exchange gives two directories the names of each other, in one step. A kill leaves no moment
// at which one of the names is missing.
func Exchange(a, b string) error {
	if err := unix.RenamexNp(a, b, unix.RENAME_SWAP); err != nil {
		return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
	}
	return nil
}
