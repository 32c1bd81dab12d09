package cmd

import (
	"os"
	"time"
)

// A script need not wait for a minute to see what is said each minute.
func init() {
	if d, err := time.ParseDuration(os.Getenv("IDEM_TEST_REMIND")); err == nil {
		remindEvery = d
	}
}
