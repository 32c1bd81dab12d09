//go:build postgres

package drivers

import "idem/ledger/postgres"

// Keeper runs a process that a shared ledger needs in addition to idem, if the arguments ask
// for it, and returns its exit status. It must be called before anything else.
func Keeper(args []string) (status int, asked bool) { return postgres.Keeper(args) }
