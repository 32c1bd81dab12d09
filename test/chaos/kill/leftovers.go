package kill

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"idem/test/chaos/lab"
)

// checkLeftProcesses waits for the last processes and reports those that remain.
func (r *killTest) checkLeftProcesses() {
	for _, p := range r.LeftProcesses() {
		r.fail(lab.Fault{Promise: noLeftovers, Key: p.Call, What: fmt.Sprintf("process %d is still alive", p.PID), At: -1})
	}
}

// checkLeftFiles reports what remains after the last process of idem.
func (r *killTest) checkLeftFiles() {
	for _, what := range lab.LeftFiles(r.ledger, r.tmp()) {
		r.fail(lab.Fault{Promise: noLeftovers, What: what, At: -1})
	}
}

// extraDescriptors counts the descriptors of the ledger that this process, a command
// run by idem, has in addition to the one that keeps its key locked.
func extraDescriptors() int {
	own := 0
	paths := lab.OpenFiles(strconv.Itoa(os.Getpid()), os.Getenv("IDEM_LEDGER"))
	if slices.Contains(paths, filepath.Join(os.Getenv("IDEM_LEDGER"), "locks")) {
		own = 1
	}
	return len(paths) - own
}

// checkSpools reports files of recorded output without a record. It returns the number of
// files with one.
func (r *killTest) checkSpools(runs map[string]bool) int {
	entries, err := os.ReadDir(filepath.Join(r.ledger, "output"))
	if err != nil {
		r.fail(lab.Fault{Promise: noUnreadable, What: err.Error(), At: -1})
	}
	for _, e := range entries {
		if !runs[e.Name()] {
			r.fail(lab.Fault{Promise: noLeftovers, What: "output/" + e.Name(), At: -1})
		}
	}
	return len(entries)
}
