package postgres

import (
	"errors"
	"flag"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"

	"idem/internal/testkit"
	"idem/ledger"
)

var raceRounds = flag.Int("rounds", 1, "the number of rounds of TestOneWinnerOfEachRace; with more than 1, they are larger")

// TestOneWinnerOfEachRace lets clients on many hosts claim a key at the same time, key by key. One
// of them gets it and runs. The others see that it is busy.
func TestOneWinnerOfEachRace(t *testing.T) {
	testkit.Slow(t, "many clients")
	clients, keys := 20, 10
	if *raceRounds > 1 {
		clients, keys = 80, 50
	}
	r := newRoom(t)
	handles := make([]*Ledger, clients)
	for i := range handles {
		handles[i] = r.open(fmt.Sprint("host", i), "")
	}
	for range *raceRounds {
		for n := range keys {
			winners(t, handles, ledger.ID{Namespace: "n", Key: fmt.Sprint(n)})
		}
	}
	if got, want := r.query("select count(*), min(attempts), max(attempts) from {s}.record"), fmt.Sprintf("%d|%d|%d", keys, *raceRounds, *raceRounds); got != want {
		t.Errorf("records and attempts: got %s, want %s", got, want)
	}
}

// winners lets all handles claim the key, and the one that gets it run.
func winners(t *testing.T, handles []*Ledger, id ledger.ID) {
	won := make(chan ledger.Claim, len(handles))
	var all sync.WaitGroup
	for _, l := range handles {
		all.Go(func() {
			c, err := l.Claim(t.Context(), id)
			switch {
			case err == nil:
				won <- c
			case !errors.As(err, new(*ledger.BusyError)):
				t.Errorf("Claim: %v", err)
			}
		})
	}
	all.Wait()
	close(won)
	if len(won) != 1 {
		t.Errorf("%d clients have the claim of %q", len(won), id.Key)
	}
	for c := range won {
		x, err := c.Begin(t.Context(), ledger.Start{RunID: uuid.NewString()})
		must(t, err)
		_, err = x.Finish(t.Context(), ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 3, Final: true})
		must(t, errors.Join(err, c.Release()))
	}
}
