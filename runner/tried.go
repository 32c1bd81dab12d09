package runner

import (
	"context"

	"idem/ledger"
)

// tried returns how many attempts a key has had since its last success.
func tried(ctx context.Context, l ledger.Ledger, rec ledger.Record) (int, error) {
	history, err := l.Attempts(ctx, rec.ID)
	return countTried(history, rec.Current.RunID), err
}

// countTried counts the attempts behind the last success in a history, up to
// the one with the given run id: what came later was not there when the record
// was read. A mark is no attempt, but one of success ends what counts.
func countTried(history []ledger.Attempt, upTo string) int {
	n := 0
	for _, a := range history {
		switch {
		case a.State == ledger.Succeeded:
			n = 0
		case a.Number > 0:
			n++
		}
		if a.RunID == upTo {
			break
		}
	}
	return n
}
