package ledger

import (
	"context"
	"io"
	"os"
)

// Store is a Ledger together with the files that a call keeps next to it on this host.
// It is all that package cmd knows of a ledger. A handle creates nothing before its
// first write.
type Store interface {
	Ledger

	// Place returns the ledger's absolute path or URL. Another process can open the
	// same ledger with it.
	Place() string
	// Secret returns random bytes that belong to this ledger, and creates them on the
	// first call. Values such as those of environment variables are hashed with them,
	// so that a reader of the ledger cannot confirm a guessed value.
	Secret(ctx context.Context) ([]byte, error)
	// FindSecret is Secret for a call that writes nothing. It returns nil when there
	// is no secret yet.
	FindSecret() ([]byte, error)
	// Scratch returns a new, empty file without a name. The file is deleted when its
	// last descriptor is closed. Scratch creates the ledger when there is none.
	Scratch() (*os.File, error)
	// Backlog returns a new file for live output that the output's reader has not
	// consumed yet.
	Backlog() (Backlog, error)
}

// Backlog is a file without a name. It leaves free the disk space that the outcomes of
// other calls need: WriteAt returns ErrFull instead of using that space.
type Backlog interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

// Missing is implemented by a Store that its first writer creates.
type Missing interface {
	// Missing reports whether nothing has created the ledger yet.
	Missing(ctx context.Context) (bool, error)
}

// Sized is implemented by a Store that knows how much space it takes.
type Sized interface {
	// Size returns the size of all files of the ledger in bytes, without free space in a file
	// system. In a shared ledger, it is the size of its tables.
	Size(ctx context.Context) (int64, error)
}
