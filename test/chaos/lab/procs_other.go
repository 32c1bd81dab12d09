//go:build !linux

package lab

// This file satisfies the compiler. The program needs /proc and ends before it comes here.

type Role int

const (
	RoleIdem Role = iota
	RoleCommand
	RoleHelper
)

type Process struct {
	PID, Parent int
	Role        Role
	Call        string
	Run         string
}

func (l *Lab) Scan() []Process { return nil }

func (l *Lab) Kill(Process, func()) bool { return false }

func killLeft(string) {}
