// Package ledgertest checks ledgers against the contract of package ledger. It has
//   - a conformance suite (Run);
//   - random histories that are compared with a simple reference (Model, Mem);
//   - benchmarks (Benchmark);
//   - a ledger that fails on demand, for the tests of packages that use one (Faulty).
//
// The test of a ledger is a Harness and three calls. The peculiarities of a ledger are
// fields of the Harness. No case depends on the name of a ledger.
package ledgertest

import (
	"testing"

	"idem/ledger"
)

// Harness is the access of the suite to one kind of ledger. New and Open are required. A
// field that is not set means that the kind does not have the feature. The cases that need
// it are then skipped.
type Harness struct {
	// New returns a place without a ledger, another one each time.
	New func(t testing.TB) string

	// Open opens a further handle on the ledger at place. It creates the ledger if
	// there is none. Each handle represents a separate process.
	Open func(place string) (ledger.Ledger, error)

	// Crash has the effect that the death of its process has on a handle: its claims
	// end and nothing is recorded. The suite does not use the handle, its claims or its
	// executions afterwards.
	Crash func(l ledger.Ledger)

	// Inherits reports whether commands inherit the ledger's claims by descriptors
	// (ledger.Inheriting).
	Inherits bool

	// Leave starts a process as an attempt's command may leave it behind. Its
	// environment is env alone. Leave returns the process and a function that ends it.
	// It is nil if the ledger does not search for such processes.
	Leave func(t testing.TB, env ...string) (p ledger.Process, end func())

	// Newer changes the ledger at place so that a newer version seems to have written
	// it.
	Newer func(t testing.TB, place string)

	// Look describes the files at place. The suite uses it to check that reading does
	// not change a place without a ledger.
	Look func(t testing.TB, place string) string

	// Lose makes the ledger lose a claim. It is nil if a claim cannot be lost.
	// Claim.Lost must then return nil too.
	Lose func(t testing.TB, c ledger.Claim)

	// LostKeepsLocks reports whether a lost claim keeps its key busy for other processes of the
	// host until it is released, and all handles are on one host.
	LostKeepsLocks bool

	// Leases reports whether claims end with a lease, so that records can have one
	// (ledger.Record.Lease).
	Leases bool
	// LateOutput reports whether a handle may see the output of another handle's running
	// attempt some time after it was written.
	LateOutput bool

	// Cases selects cases by name, for a further way to reach a ledger of which another
	// harness runs all cases. Nil selects all.
	Cases func(name string) bool

	// Offers is a nil pointer of the type of the ledger. Cases for an optional interface, such as
	// ledger.Surveying, run if it implements that.
	Offers ledger.Ledger

	// Check searches for damage at place. It is called after each case, when the
	// suite's handles are closed.
	Check func(t testing.TB, place string)
}

// A testCase checks the promise that its name states.
type testCase struct {
	name  string
	run   func(k *kit)
	needs func(h Harness) bool // reports whether the case can run; nil: always
}

// offers reports whether a ledger implements an optional interface.
func offers[I any](h Harness) bool {
	_, ok := h.Offers.(I)
	return ok
}

func needsCrash(h Harness) bool    { return h.Crash != nil }
func needsNewer(h Harness) bool    { return h.Newer != nil }
func needsInherits(h Harness) bool { return h.Crash != nil && h.Inherits }

func needsLeave(h Harness) bool { return h.Crash != nil && h.Leave != nil }

// Run checks the ledgers of h against the contract, with one subtest for each promise.
func Run(t *testing.T, h Harness) {
	for _, group := range [][]testCase{
		recordCases, listCases, claimCases, attemptCases, outputCases, unwantedCases, captureCases, replayCases, fileCases,
		markCases, forgetCases, waitCases, concurrentCases, handleCases, crashCases,
		mutexCases, mutexCrashCases, queueCases, groupCases, familyCases, surveyCases, collectCases, historiesCases, keyCases, transferCases,
	} {
		for _, c := range group {
			if c.needs != nil && !c.needs(h) || h.Cases != nil && !h.Cases(c.name) {
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
