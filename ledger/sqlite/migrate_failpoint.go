//go:build failpoint

package sqlite

import "os"

// A program that is built to be hurt can have one more script: a process with
// this variable is a newer idem than a process without it.
func init() {
	if script := os.Getenv("IDEM_FAILPOINT_MIGRATION"); script != "" {
		migrations = append(migrations, script)
	}
}
