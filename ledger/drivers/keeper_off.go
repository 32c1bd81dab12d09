//go:build !postgres

package drivers

// Keeper reports that the arguments ask for no process of a shared ledger.
func Keeper([]string) (status int, asked bool) { return 0, false }
