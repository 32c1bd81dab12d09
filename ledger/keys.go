package ledger

import "context"

// Ordered is implemented by a ledger that finds its keys by an index in their order, so a
// question about a few of them does not read all.
type Ordered interface {
	// NextKey returns the least key of a namespace that is not less than from and less
	// than before, in any window. Keys are compared byte by byte. It returns "" if there
	// is none. Forgotten keys do not count, except those below a forgotten key: their rows
	// may still be there.
	NextKey(ctx context.Context, namespace, from, before string) (string, error)
	// Namespaces returns the namespaces in which something was ever recorded, sorted.
	Namespaces(ctx context.Context) ([]string, error)
}
