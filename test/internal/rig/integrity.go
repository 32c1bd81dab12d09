package rig

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Attempt is a row of the ledger, as the program integrity prints it.
type Attempt struct{ Key, Run, State, Reason string }

// Integrity checks a ledger with SQLite in a separate process. It returns the attempts in
// the order in which they began. SQLite removes the -wal. The program that checks is kept
// in the directory programs.
func Integrity(programs, ledger string) ([]Attempt, error) {
	program := filepath.Join(programs, "integrity")
	if _, err := os.Stat(program); err != nil {
		if _, err := Build("./test/internal/integrity", program); err != nil {
			return nil, err
		}
	}
	var report struct {
		Integrity []string
		Attempts  []Attempt
	}
	out, err := exec.Command(program, filepath.Join(ledger, "ledger.db")).Output()
	if err == nil {
		err = json.Unmarshal(out, &report)
	}
	if err != nil {
		return nil, fmt.Errorf("ledger.db cannot be read: %w", err)
	}
	if s := strings.Join(report.Integrity, "; "); s != "ok" {
		return report.Attempts, fmt.Errorf("integrity_check: %s", s)
	}
	return report.Attempts, nil
}
