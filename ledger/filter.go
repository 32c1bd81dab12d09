package ledger

import "iter"

// Filter selects records for List. A zero field does not restrict the result.
type Filter struct {
	Namespace string
	Key       string // the key, in any window
	Glob      Glob   // a pattern for the key
	Phase     Phase
	Limit     int // the maximum number of records
	// Under restricts the result to the steps or items directly below a record. TopLevel
	// restricts it to records without a parent.
	Under    ID
	TopLevel bool
}

// Collect returns all records that List yields, or its error.
func Collect(records iter.Seq2[Record, error]) ([]Record, error) {
	var all []Record
	for r, err := range records {
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}
