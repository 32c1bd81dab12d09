//go:build failpoint

package sqlite

import "os"

// A program that is built for fault tests can have one more script. A process with this
// variable behaves like a newer idem.
func init() {
	if script := os.Getenv("IDEM_FAILPOINT_MIGRATION"); script != "" {
		migrations = append(migrations, script)
	}
}
