// Package entry has what runs before everything else. It imports nothing, so it is
// initialised first.
//
// In a program that is linked with -ldflags=-E=idem_start, on Linux on amd64, it has the
// first instructions. They check the limits of the process before Go's runtime does.
package entry
