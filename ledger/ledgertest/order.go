package ledgertest

import (
	"pgregory.net/rapid"

	"idem/ledger"
)

// order checks what Record.Attempts and Attempt.Number promise about time: given two
// records of a key, they and the run ids show whether the current attempt of the later one
// began between the two. No clock is needed.
type order struct {
	step  int
	began map[string]int // by run id: the step in which the attempt began
	read  map[ledger.ID][]reading
}

// reading is a record and the step after which it was read.
type reading struct {
	rec  ledger.Record
	step int
}

// readingsKept limits the earlier records of a key that are compared.
const readingsKept = 8

func newOrder() *order {
	return &order{began: map[string]int{}, read: map[ledger.ID][]reading{}}
}

func (o *order) begin(run string) {
	o.step++
	o.began[run] = o.step
}

// check compares a record with the earlier ones of its key.
func (o *order) check(t *rapid.T, rec ledger.Record) {
	cur := rec.Current
	for _, was := range o.read[rec.ID] {
		later := cur.Number > 0 && (rec.Generation != was.rec.Generation ||
			cur.Number >= was.rec.Attempts && cur.RunID != was.rec.Current.RunID)
		if began := o.began[cur.RunID] > was.step; later != began {
			t.Fatalf("attempt %d (%s): got later %t by its number, want %t: it began in step %d; in step %d the record was %+v",
				cur.Number, cur.RunID, later, began, o.began[cur.RunID], was.step, was.rec)
		}
	}
	all := append(o.read[rec.ID], reading{rec, o.step})
	o.read[rec.ID] = all[max(0, len(all)-readingsKept):]
}
