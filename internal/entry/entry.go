// Package entry has the first instructions of a program that is linked with
// -ldflags=-E=idem_start, on Linux on amd64. They check the limits of the process
// before Go's runtime does. Elsewhere, and without the flag, the package is empty.
package entry
