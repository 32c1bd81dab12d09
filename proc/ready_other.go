//go:build !linux

package proc

// Ready returns nil: these systems have no sandbox that refuses single system calls.
func Ready(bool) error { return nil }

// Sound returns nil, for the same reason as Ready.
func Sound() error { return nil }

// Fit returns nil: these systems do not limit the address space.
func Fit() error { return nil }

func canWait() error { return nil }

func reserveFor(n int) int { return n }
