//go:build !linux

package postgres

// killAll does nothing: these kernels do not show who holds a lock.
func killAll(find func() []int) bool { return len(find()) > 0 }

func isHelper([]byte) bool { return false }
