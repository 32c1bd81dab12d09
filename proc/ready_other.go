//go:build !linux

package proc

// Ready returns nil: these systems have no sandbox that refuses single system calls.
func Ready(bool) error { return nil }

// Sound returns nil, as Ready.
func Sound() error { return nil }

// Fit returns nil: these systems limit no address space.
func Fit() error { return nil }

func canWait() error { return nil }
