package ledger

import (
	"context"
	"iter"
)

// Transferring is implemented by a ledger whose records can be moved to another ledger. Its claims
// are Receiving.
type Transferring interface {
	// Numbers yields the records whose numbers another ledger must know before it gets any record:
	// those with a series, and those without a history. Without these numbers, a token or a fence
	// could return. Keys that were never recorded are left out. So are keys of other namespaces,
	// unless namespace is "". The order is that of the SHA-256 of the names. Current has the RunID
	// alone. An error is yielded last.
	Numbers(ctx context.Context, namespace string) iter.Seq2[Record, error]
}

// Rekeying is implemented by a Store that can get the secret of another ledger.
type Rekeying interface {
	// SetSecret makes secret that of the ledger, if nothing can have been hashed with another one. It
	// reports whether the ledger has this secret now.
	SetSecret(ctx context.Context, secret []byte) (bool, error)
}

// Receiving is implemented by a Claim of a ledger that is Transferring.
type Receiving interface {
	// Put replaces the history of the record by that of another ledger, and is durable when it
	// returns. It is all or nothing: with an error, nothing has changed. The error is ErrChanged when
	// the record differs from im.Expect, or the error of im.Next. It is ErrHistory if the record has
	// a history and this ledger does not replace one, or if the history of im Unsettles the record.
	//
	// Generation, fence and series become the greater ones of the record and of im. But the series
	// stays as it is while there are records below, because a new one would forget them. An attempt
	// that is running has no holder in this ledger, so it is interrupted.
	//
	// An output that the record has is kept, if im has the same run without it.
	Put(ctx context.Context, im Import) error
}

// Import is a record that Put stores.
type Import struct {
	Expect     Record // as in Mark
	Generation int64
	Fence      int64
	Series     int64
	Parent     ID // of a step or an item; else zero
	// Next returns the history piece by piece, oldest first, and then io.EOF. If it is nil, the
	// history of the record stays as it is, and only its numbers change.
	Next func() (Piece, error)
}

// Unsettles reports whether a history would make an interrupted key run again. The latest
// attempt of the record is was, and that of the history is last. has reports whether a run is in the
// history.
func Unsettles(was, last Attempt, has func(runID string) bool) bool {
	return was.State == Running && last.State != Succeeded && !has(was.RunID)
}

// Piece is a part of the history of a record. One of its fields is set.
type Piece struct {
	Attempt *Attempt // the next attempt or mark. Its output and its files follow.
	Chunk   *Chunk   // valid until the next piece
	File    *File
}
