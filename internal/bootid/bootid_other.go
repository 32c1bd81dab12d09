//go:build !linux && !darwin

package bootid

import "errors"

// Read returns an error: these kernels are not known to identify their starts.
func Read() (string, error) { return "", errors.New("this system has none") }
