//go:build !linux

package sqlite

import "idem/ledger"

// processesOf returns nothing: these kernels do not show the environment of a
// process.
func processesOf() map[string][]ledger.Process { return nil }

func belongs(int, string) bool { return false }
