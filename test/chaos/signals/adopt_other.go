//go:build !linux

package signals

// adopt is for the compiler: the program needs Linux and ends before it.
func adopt(bool) error { return nil }
