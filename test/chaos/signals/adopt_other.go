//go:build !linux

package signals

// adopt satisfies the compiler. The program needs Linux and ends before it comes here.
func adopt(bool) error { return nil }
