//go:build !linux

package proc

// executedAs returns "", because os.Executable knows the path.
func executedAs() string { return "" }
