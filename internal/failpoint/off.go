//go:build !failpoint

// Package failpoint names the points at which a kill -9 leaves something else
// behind than a moment before. In the program as it is shipped a point is
// nothing at all. Built with -tags failpoint, the program kills itself at the
// point that IDEM_FAILPOINT names; test/chaos does so at each of them.
package failpoint

// Here is one point.
func Here(string) {}
