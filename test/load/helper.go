package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"idem/test/internal/rig"
)

// helper returns a call of the program ledgers, which is built at the first use.
func (l *load) helper(args ...string) (*exec.Cmd, error) {
	program := filepath.Join(filepath.Dir(l.dir), "ledgers")
	if _, err := os.Stat(program); err != nil {
		if _, err := rig.Build("./test/load/ledgers", program); err != nil {
			return nil, err
		}
	}
	c := exec.Command(program, args...)
	c.Stderr = os.Stderr
	return c, nil
}

// memoryDir makes a directory in memory for making ledgers. A key costs two syncs, which
// cost nothing there.
func (l *load) memoryDir() (dir string, remove func(), err error) {
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = l.dir
	}
	dir, err = os.MkdirTemp(parent, "idem-load-")
	return dir, func() { os.RemoveAll(dir) }, err
}

// grow gives the ledger in dir the keys from first to end-1, and makes a copy.
func (l *load) grow(dir string, first, end int, copied string) error {
	c, err := l.helper("fill", dir, strconv.Itoa(first), strconv.Itoa(end))
	if err != nil {
		return err
	}
	if err := c.Run(); err != nil {
		return fmt.Errorf("ledgers fill: %w", err)
	}
	return copyLedger(dir, copied)
}

func copyLedger(dir, copied string) error {
	if out, err := exec.Command("cp", "-Rp", dir, copied).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	return nil
}
