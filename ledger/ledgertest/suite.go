// Package ledgertest holds every ledger to the contract of package ledger: a
// conformance suite (Run), random histories compared with a plain reference
// (Model, Mem), benchmarks that are the same for all (Benchmark) and a ledger
// that fails on demand for the tests of its users (Faulty).
//
// A ledger's test is a Harness and three calls. What is particular to a ledger
// is a field of the Harness; no case asks for a ledger's name.
package ledgertest

import (
	"testing"

	"idem/ledger"
)

// Harness tells the suite how to handle one kind of ledger. New and Open are
// required. A field that is not set means that the kind has no such thing, and
// the cases that need it are left out.
type Harness struct {
	// New names a place that has no ledger yet, another one each time.
	New func(t testing.TB) string

	// Open opens a further handle on the ledger at place and makes the ledger
	// if there is none. Each handle stands for a process of its own.
	Open func(place string) (ledger.Ledger, error)

	// Crash does to a handle what the death of its process would: its claims
	// are gone, nothing is recorded. The suite does not use the handle, its
	// claims and its executions again.
	Crash func(l ledger.Ledger)

	// Inherits tells that the ledger's claims reach the commands by descriptors
	// (ledger.Inheriting).
	Inherits bool

	// Leave starts a process that an attempt's command has left behind with
	// nothing but env in its environment, and returns what ends it. It is nil where
	// the ledger does not look for such processes.
	Leave func(t testing.TB, env ...string) (p ledger.Process, end func())

	// Newer makes the ledger at place look written by a newer version.
	Newer func(t testing.TB, place string)

	// Look describes what lies at place. The suite uses it to see that reading
	// a fresh place leaves it as it was.
	Look func(t testing.TB, place string) string

	// Lose makes a claim one that can no longer be kept. It is nil where that
	// cannot happen; Claim.Lost must then be nil too.
	Lose func(t testing.TB, c ledger.Claim)

	// Check looks for damage at place. It is called after each case, when the
	// suite's handles are closed.
	Check func(t testing.TB, place string)
}

// A testCase is one promise. Its name says which.
type testCase struct {
	name  string
	run   func(k *kit)
	needs func(h Harness) bool // the case is not one for harnesses without it
}

func needsCrash(h Harness) bool    { return h.Crash != nil }
func needsNewer(h Harness) bool    { return h.Newer != nil }
func needsInherits(h Harness) bool { return h.Crash != nil && h.Inherits }

func needsLeave(h Harness) bool { return h.Crash != nil && h.Leave != nil }

// Run holds the ledgers of h to the contract, one subtest for each promise.
func Run(t *testing.T, h Harness) {
	for _, group := range [][]testCase{
		recordCases, listCases, claimCases, attemptCases, outputCases, unwantedCases, captureCases, replayCases, fileCases,
		markCases, forgetCases, waitCases, concurrentCases, handleCases, crashCases,
	} {
		for _, c := range group {
			if c.needs != nil && !c.needs(h) {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				k := newKit(t, h)
				c.run(k)
				k.end()
			})
		}
	}
}
