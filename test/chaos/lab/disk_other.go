//go:build !linux

package lab

import (
	"os"

	"idem/test/internal/rig"
)

// This file satisfies the compiler. The program needs Linux and ends before it comes here.

func OwnMounts([]string) error { return nil }

type Disk struct{ Dir string }

const (
	CutFreeze  = 0
	CutFlush   = 1
	CutNothing = 2
)

func (l *Lab) Tmpfs(string, int) (*Disk, error)           { return nil, l.CanMount() }
func (l *Lab) Ext4(string, int, ...string) (*Disk, error) { return nil, l.CanMount() }
func (l *Lab) CanMount() error                            { return rig.Skipped("needs Linux") }
func WriteBack(*os.File, int64, int64) error              { return nil }
func (d *Disk) Mount() error                              { return nil }
func (d *Disk) Unmount() error                            { return nil }
func (d *Disk) Sync() error                               { return nil }
func (d *Disk) Cut(int) error                             { return nil }
