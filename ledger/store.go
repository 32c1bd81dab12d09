package ledger

import (
	"context"
	"io"
	"os"
)

// Store is a ledger with what a call keeps next to it on this host: all that the
// command line needs to know of one. A handle that writes nothing makes nothing.
type Store interface {
	Ledger

	// Place returns the ledger's absolute path or URL, by which another process
	// opens the same ledger.
	Place() string
	// Secret returns random bytes that belong to this ledger, and makes them when
	// they are first asked for. They key the hashes of values that must not be
	// guessed from the ledger's content, such as those of environment variables.
	Secret(ctx context.Context) ([]byte, error)
	// FindSecret is Secret for a call that writes nothing: nil when there is none.
	FindSecret() ([]byte, error)
	// Scratch returns a new, empty file that has no name, so it is gone with its last
	// descriptor. It makes the ledger when there is none.
	Scratch() (*os.File, error)
	// Backlog returns a new file for live output that its reader has not taken yet.
	Backlog() (Backlog, error)
}

// Backlog is a file without a name that refuses to fill the disk. WriteAt returns
// ErrFull rather than leave less space than the outcomes of other calls need.
type Backlog interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}
