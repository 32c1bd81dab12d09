//go:build !linux

// Package shared needs Linux, see shared.go.
package shared

import (
	"idem/test/chaos/lab"
	"idem/test/internal/rig"
)

// The functions satisfy the compiler. The program needs Linux and ends before it comes here.

func Run(*lab.Lab) error     { return rig.Skipped("needs Linux") }
func Pauses(*lab.Lab) error  { return rig.Skipped("needs Linux") }
func Commits(*lab.Lab) error { return rig.Skipped("needs Linux") }
func Outages(*lab.Lab) error { return rig.Skipped("needs Linux") }
func Done(*lab.Lab) error    { return rig.Skipped("needs Linux") }

func Command([]string) int { return 1 }
func Worker([]string) int  { return 1 }
func Effect([]string) int  { return 1 }
