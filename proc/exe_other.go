//go:build !linux

package proc

// executedAs returns "": os.Executable knows.
func executedAs() string { return "" }
