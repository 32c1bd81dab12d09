package cmd_test

import (
	"fmt"
	"strings"
	"testing"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/drivers"
)

// A batch is shown by its template, the numbers of its items, its last failures and its
// slowest items. It is not run.
func TestShowOfABatch(t *testing.T) {
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "other", "--", "true"), 0) // makes the ledger
	makeBatch(t, b)
	text := b.wantStatus(b.run("show", "k"), 0).out
	for _, want := range []string{
		"state:     batch\n", "command:   ./send.sh '{}'\n", "  the template of a batch\n", "\nitems: 12 succeeded, 1 failed\n",
		"\nLAST FAILURES\nSTARTED  HOW                   ITEM\n", "\nSLOWEST\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%s\nwant in it %q", text, want)
		}
	}
	if strings.Count(text, "\n  ") > 11+2 || strings.Contains(text, "STEP") {
		t.Errorf("got\n%s\nwant one failure and the 10 slowest items", text)
	}
	if text := b.wantStatus(b.run("show", "--json", "k"), 0).out; !strings.Contains(text, `"failed": 1,`) || !strings.Contains(text, `"steps": [],`) {
		t.Errorf("got\n%s\nwant the numbers of items and no steps", text)
	}
	for _, flags := range []string{"", "--force", "--on-mismatch rerun", "--on-interrupted rerun"} {
		r := b.wantStatus(b.sh("idem run --key k "+flags+" -- touch ran"), 64)
		if !strings.Contains(r.err, `idem: key "k" is a batch of idem each`) {
			t.Errorf("%s: got %q, want that the key is a batch", flags, r.err)
		}
	}
}

// makeBatch records the batch k with 12 items that succeeded and one that failed.
func makeBatch(t *testing.T, b *box) {
	t.Helper()
	l, err := drivers.Open(b.ledger, drivers.Options{})
	testMust(t, err)
	defer l.Close()
	runs := 0
	runID := func() string { runs++; return fmt.Sprintf("01a22439-0000-7000-8000-%012d", runs) }
	batch := ledger.ID{Namespace: "default", Key: "k"}
	claim, err := l.Claim(t.Context(), batch)
	testMust(t, err)
	rec, err := claim.Record(t.Context())
	testMust(t, err)
	in := hashkey.Argv([]string{"./send.sh", "{}"})
	_, err = claim.Mark(t.Context(), ledger.Mark{
		Expect: rec, State: ledger.Batch, Reason: ledger.ReasonMarked, RunID: runID(), Fingerprint: in.Fingerprint(), Inputs: in.Encode(),
	})
	testMust(t, err)
	testMust(t, claim.Release())
	for n := 1; n <= 13; n++ {
		name, o := fmt.Sprint(n), ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit}
		if n == 13 {
			name, o = "bad", ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 3}
		}
		claim, err := l.Claim(t.Context(), ledger.ID{Namespace: "default", Key: "k/" + name})
		testMust(t, err)
		e, err := claim.Begin(t.Context(), ledger.Start{RunID: runID(), Fingerprint: "h1:item", Origin: ledger.Origin{Parent: batch}})
		testMust(t, err)
		_, err = e.Finish(t.Context(), o)
		testMust(t, err)
		testMust(t, claim.Release())
	}
}
