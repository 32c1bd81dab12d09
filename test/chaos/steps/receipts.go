package steps

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"idem/test/chaos/lab"
)

// ages are the parts of an answer that depend on the time of the call or on the place.
var ages = regexp.MustCompile(`\([^)]* ago\)|\(now\)|"ledger": "[^"]*",?|"age_seconds": [0-9]+`)

// compareReceipts checks that the receipts after a kill change no answer: a copy of the ledger without
// them gives the same ones. Another trial would change a ledger that is not fresh during the copy.
func (s *trial) compareReceipts() {
	if !s.scenario.fresh || !exists(filepath.Join(s.Ledger, lab.ReceiptsName)) {
		return
	}
	bare := s.Ledger + ".bare." + strconv.Itoa(s.calls)
	lab.Must(lab.CopyLedger(s.Ledger, bare))
	lab.Must(os.Remove(filepath.Join(bare, lab.ReceiptsName)))
	for _, args := range [][]string{{"show", "--json", s.job.Key}, {"check", "--key", s.job.Key}} {
		var replies [2]lab.Call
		for i, place := range []string{s.Ledger, bare} {
			s.calls++
			replies[i] = s.Call(s.job.Key, s.calls, append([]string{"--ledger", place}, args...))
		}
		got, want := replies[0], replies[1]
		if got.Code != want.Code || ages.ReplaceAllString(got.Stdout(), "") != ages.ReplaceAllString(want.Stdout(), "") {
			s.Fail(noTable, s.job.Key, "%s, killed at %s: idem %q with the receipts: status %d: %s%s; without them %d: %s%s", s.scenario.name, s.step.point,
				args, got.Code, got.Stdout(), got.Stderr(), want.Code, want.Stdout(), want.Stderr())
		}
	}
	lab.Must(os.RemoveAll(bare))
	if _, wrong := s.CheckReceipts(); wrong != "" {
		s.Fail(noTable, s.job.Key, "%s, killed at %s: %s", s.scenario.name, s.step.point, wrong)
	}
}
