package runner

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"idem/ledger"
	"idem/ledger/ledgertest"
	"idem/proc"
)

// TestEveryLedgerCallMayFail lets each ledger call of a run fail in turn. It fails once
// before the call does its work, and once after, as when the answer to a commit is
// lost. In every case:
//   - Either nothing was started and the call returns an error, or the caller gets
//     the command's output and status.
//   - The command does not run a second time.
//   - Unrecorded is set exactly if the outcome could not be stored.
func TestEveryLedgerCallMayFail(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(k *kit)
		call    func(k *kit) testCall
		runs    int // of the command in this call, if nothing fails
		code    int
	}{
		{"first run", func(*kit) {}, (*kit).job, 1, 0},
		{"first run that fails", func(k *kit) { k.write("exit", "3") }, (*kit).job, 1, 3},
		{"run after a failure", func(k *kit) { k.write("exit", "3"); k.first(k.job()) }, (*kit).job, 1, 3},
		{"first run with a mutex", func(*kit) {}, func(k *kit) testCall { return k.jobWith(ledger.Mutex{Name: "m", Limit: 1}) }, 1, 0},
		{"replay", func(k *kit) { k.first(k.job()) }, (*kit).job, 0, 0},
		{"replay found under the claim", func(k *kit) { k.first(k.job()) }, (*kit).job, 0, 0},
		{"refusal", func(k *kit) { k.first(k.call("true")) }, (*kit).job, 0, 0},
		{"start failure", func(k *kit) {
			k.write("bad", "#!/no/such/interpreter\n")
			must(k.T, os.Chmod(k.path("bad"), 0o700))
		}, func(k *kit) testCall {
			return k.call(k.path("bad"))
		}, 0, 0},
	} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after %t", test.name, after), func(t *testing.T) {
				for n := 1; ; n++ {
					k := newKit(t)
					test.prepare(k)
					before := k.side()
					l := k.mem.Open()
					inner := l
					if test.name == "replay found under the claim" {
						inner = &staleLedger{Ledger: l}
					}
					f := &ledgertest.Faulty{Ledger: inner, FailAt: n, After: after}
					o := k.run(f, test.call(k))
					calls := f.Calls()
					if len(calls) < n {
						break // the run makes fewer than n calls
					}
					failed := calls[n-1]
					ran := k.side() - before
					switch {
					case ran > 1:
						t.Fatalf("%s failed: the command ran %d times", failed, ran)
					case ran == 1:
						if o.err != nil || o.Action != ActionExecute || o.out != jobOut || o.errOut != jobErr || o.Status != (proc.Status{ExitCode: test.code}) {
							t.Fatalf("%s failed: the command ran, but the caller gets %v, %+v, %q, %q, error %v", failed, o.Decision, o.Status, o.out, o.errOut, o.err)
						}
						if unrecorded := errors.Is(o.Unrecorded, ledgertest.ErrFaulty); unrecorded != (failed == "Finish") || !unrecorded && o.Unrecorded != nil {
							t.Fatalf("%s failed: unrecorded %v", failed, o.Unrecorded)
						}
					case o.err != nil:
						var start *proc.StartError // also returned if Abandon failed
						if !errors.Is(o.err, ledgertest.ErrFaulty) && !errors.As(o.err, &start) || o.out+o.errOut != "" {
							t.Fatalf("%s failed: got error %v, stdout %q", failed, o.err, o.out)
						}
					case test.runs > 0:
						t.Fatalf("%s failed: nothing ran and no error is returned: %v", failed, o.Decision)
					}

					// The process ends, and the next one has a ledger without faults.
					k.mem.Crash(l)
					phase, again := k.record().Phase(), k.first(test.call(k))
					more := k.side() - before - ran
					switch {
					case ran == 1 && phase == ledger.PhaseSucceeded:
						k.want(again, Decision{ActionReplay, ReasonSucceeded}, jobOut, jobErr)
					case ran == 1 && phase == ledger.PhaseInterrupted:
						k.want(again, Decision{ActionRefuse, ReasonInterrupted}, "", "")
					case ran == 1 && phase != ledger.PhaseFailed:
						t.Fatalf("%s failed: the record is %s", failed, phase)
					case ran == 0 && phase == ledger.PhaseInterrupted: // Begin took effect, or could not be undone
						k.want(again, Decision{ActionRefuse, ReasonInterrupted}, "", "")
						if failed != "Begin" && failed != "Abandon" {
							t.Fatalf("%s failed: the record is %s", failed, phase)
						}
					}
					if more > 0 && ran == 1 && phase != ledger.PhaseFailed {
						t.Fatalf("%s failed: the command ran again", failed)
					}
				}
			})
		}
	}
}

// If the ledger fails after the command has run, the command does not run again,
// whatever the error is.
func TestUnrecordedOutcomeIsInterrupted(t *testing.T) {
	for _, cause := range []error{ledger.ErrFull, ledger.ErrLost, ledger.ErrCorrupt, errors.New("the disk is on fire")} {
		k := newKit(t)
		l := k.mem.Open()
		o := k.run(&ledgertest.Faulty{Ledger: l, FailAt: 5, Err: cause}, k.job())
		if o.err != nil || !errors.Is(o.Unrecorded, cause) || o.out != jobOut {
			t.Fatalf("%v: got %+v", cause, o)
		}
		k.mem.Crash(l)
		k.want(k.first(k.job()), Decision{ActionRefuse, ReasonInterrupted}, "", "")
	}
}
