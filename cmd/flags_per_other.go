//go:build !linux && !darwin

package cmd

import "errors"

// bootID returns an error: these kernels are not known to identify their starts.
func bootID() (string, error) { return "", errors.New("this system has none") }
