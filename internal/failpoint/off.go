//go:build !failpoint

// Package failpoint names the points of the program around which a kill -9 leaves
// different states behind. In a normal build, a point does nothing. Built with -tags
// failpoint, the program kills itself at the point that the variable IDEM_FAILPOINT
// names. test/chaos does so at each point.
package failpoint

// Here marks a point. In this build it does nothing.
func Here(string) {}
