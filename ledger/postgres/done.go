package postgres

import _ "embed"

// The function done(token, fence) lets a command record its success in the transaction of its
// work: the effect and the success are one commit. After a kill at any moment, either both
// exist or neither does. So the outcome is never unknown.
//
// The function itself only checks the attempt and leaves a row in the table doing. A deferred
// trigger of that row does the rest at the commit. It makes the running attempt a success of
// reason transaction, or it fails, and then the transaction is rolled back. So:
//   - The row of the record is locked from the commit's begin to its end only. A transaction
//     may be open for hours, while the lease is renewed in the same row.
//   - Each change that ends an attempt updates its row: Begin, Mark and Forget of a later
//     holder, and Finish. The trigger and such a change take turns. If the trigger comes first,
//     the other one finds a success: Begin and Mark then fail with ErrChanged, and the
//     success is replayed. If it comes second, it finds another attempt or outcome, and the
//     transaction fails. A fenced holder can therefore commit nothing late.
//   - A forgotten parent makes its children stale without a change of their rows. So the
//     trigger locks the rows above against a new series, as Begin of a child does.
//   - A reader finds the success in the row of the record, and needs nothing else.
//   - The output may lack its end, as that of a command that has left processes. Finish, if it
//     still comes, completes it.
//   - The lease does not matter, as for Finish: an attempt whose lease has ended may succeed
//     as long as no other call has taken its key.
//
// In a transaction of isolation level repeatable read or serializable, the commit fails with
// a serialization failure if the lease was renewed since its snapshot. Such a transaction must
// be shorter than the time between two renewals, or be repeated by its program.
//
// The token is not in any column. The fence finds the record, since it is also the order of
// the attempt. The token is then computed and compared. The index record_order begins with the
// namespace, so the look-up steps through the namespaces of the ledger. Each one costs about four
// pages of the index, also in a ledger with many records.
//
//go:embed done.sql
var doneSQL string
