//go:build race

package detach

// The race detector multiplies the memory by five to ten (go.dev/doc/articles/race_detector), so the
// limit of the program would leave the copy no time for anything but the collection of garbage.
func init() { environment = []string{"GOGC=25", "GOMEMLIMIT=80MiB", "GOMAXPROCS=1"} }
