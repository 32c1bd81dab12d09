package bootid

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Read returns the UUID of this start of the system. The kernel chooses it at its
// start.
func Read() (string, error) {
	const name = "kern.bootsessionuuid"
	id, err := unix.Sysctl(name)
	if err != nil {
		return "", fmt.Errorf("sysctl %s: %w", name, err)
	}
	return id, nil
}
