//go:build !linux

package main

// Elsewhere main refuses to start; this is for the compiler.

type role int

const (
	roleIdem role = iota
	roleCommand
	roleHelper
)

type process struct {
	pid, parent int
	role        role
	call        string
}

func (l *lab) scan() []process { return nil }

func (l *lab) kill(process, func()) bool { return false }

func adopt(bool) error { return nil }
