//go:build !linux

package main

import "idem/test/internal/rig"

func ownMounts([]string) error { return nil }

type disk struct{ dir string }

const (
	cutFreeze  = 0
	cutFlush   = 1
	cutNothing = 2
)

func (l *lab) tmpfs(string, int) (*disk, error)           { return nil, l.mayMount() }
func (l *lab) ext4(string, int, ...string) (*disk, error) { return nil, l.mayMount() }
func (l *lab) mayMount() error                            { return rig.Skipped("needs Linux") }
func (d *disk) on() error                                 { return nil }
func (d *disk) off() error                                { return nil }
func (d *disk) settle() error                             { return nil }
func (d *disk) cut(int) error                             { return nil }
