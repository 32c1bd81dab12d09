package ledger

import (
	"context"
	"io"
)

// Copying is implemented by a ledger in a directory, which can be copied while calls use it.
type Copying interface {
	// Backup copies the ledger. The copy has every change that was acknowledged before the
	// call. It is whole or absent, also after a kill. The error is ErrMissing when there is
	// no ledger.
	Backup(ctx context.Context, o BackupOptions) (Copied, error)
}

// BackupOptions say where a copy goes. One of Dir, File and Writer is set.
type BackupOptions struct {
	Dir      string    // a directory that is absent or empty
	File     string    // a tar file that does not exist
	Writer   io.Writer // for a tar stream
	NoOutput bool      // leave the recorded outputs out; the copy says that they were removed
}

// Copied describes a copy of a ledger.
type Copied struct {
	Keys    int   // with a history
	Outputs int   // in separate files
	Bytes   int64 // size of the copy, without the records' own overhead in a tar
	// Unended are the keys whose attempt has no recorded end. They are interrupted in the
	// copy.
	Unended []ID
	// Gone counts outputs whose file was missing. The copy says that they were removed.
	Gone int
	// Damaged counts outputs whose file has another size than recorded. They are damaged
	// in the copy too.
	Damaged int
	// Removed counts outputs that NoOutput has left out.
	Removed int
}

// Restored describes a ledger that replaced another one, or was put at an empty place.
type Restored struct {
	Copied
	// Again are the keys that the ledger at the place had settled, and the backup has not.
	Again []RunsAgain
	// Unread is why the ledger at the place could not be read whole, nil if it could. Again
	// is then incomplete, and numbers of its later attempts may be given again.
	Unread error
	// Aside is the directory that the earlier ledger was moved to, "" if there was none.
	Aside string
}

// RunsAgain is a key whose later calls may run their command again after a restore.
type RunsAgain struct {
	ID     ID
	Was    Phase // in the ledger that is replaced: succeeded or interrupted
	Backup Phase // in the backup
	RunID  string
}

// TargetError is the error of a copy that cannot go to the place that the user has named.
// Nothing was done.
type TargetError struct {
	Path, Text string
	Hint       string // a way out; may be empty
	Missing    bool   // the path is a directory that has to be made first
}

func (e *TargetError) Error() string { return e.Path + " " + e.Text }

// BackupError is the error of a backup that cannot be restored, because it is damaged or was cut
// off. Nothing was done.
type BackupError struct {
	Path string // "-" for a stream
	Err  error
}

func (e *BackupError) Error() string {
	return "the backup " + e.Path + " cannot be restored: " + e.Err.Error()
}
func (e *BackupError) Unwrap() error { return e.Err }

// InUseError is the error of a ledger that cannot be replaced or moved, because calls use it.
type InUseError struct {
	Running []ID // the known ones of the keys that are running, at most five
}

func (e *InUseError) Error() string { return "the ledger is in use" }
