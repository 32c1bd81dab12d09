// Package entry has the first instructions of a program that is linked with
// -ldflags=-E=idem_start, on Linux on amd64: they look at the limits of the process
// before Go's runtime does. Elsewhere, and without the flag, it is empty.
package entry
