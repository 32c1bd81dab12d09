package ledger

import (
	"context"
	"iter"
)

// Histories is implemented by a ledger that can read the attempts of all records at a cost
// far below that of Attempts for each.
type Histories interface {
	// Histories yields all attempts and marks, without their Inputs. A namespace restricts the
	// result, unless it is empty. Those of a record follow each other, the oldest first. The
	// order of the records has no meaning, and is the same each time. An error is yielded last.
	//
	// Records are read one after the other during the call, as by List. A record and its
	// latest attempts are as they were at one moment. No transaction is open for the whole
	// call, because it would make the files of a busy ledger grow. Histories keeps few
	// attempts in memory, and the caller may use the ledger while it handles one.
	Histories(ctx context.Context, namespace string) iter.Seq2[Entry, error]

	// Keys yields the records that have no record above them, in an order that has no meaning.
	// A record without a history is yielded if it has, or had, records below it.
	Keys(ctx context.Context, namespace string) iter.Seq2[ID, error]
}

// Entry is an attempt or a mark in a result of Histories.
type Entry struct {
	ID      ID
	Attempt Attempt
	// Record is the record in the entry of its current attempt, as List yields it. It is nil
	// in the other entries.
	Record *Record
	// Top is the ID of the highest record above a step or an item, else ID.
	Top ID
	// Inner reports whether a record above has attempts. Then the attempt is a part of these. An item of a batch is not.
	Inner bool
	// Stored is the number of bytes that the recorded output of the attempt takes.
	Stored int64
}
