package steps

import (
	"os"
	"path/filepath"
	"time"

	"idem/test/chaos/lab"
)

// scenarios has all calls that are killed, with all points of internal/failpoint. The
// suffix :2 means the second time that a call reaches the point. For example, a run writes
// at its beginning and with its outcome.
var scenarios = []scenario{
	{name: "first call of all", fresh: true, job: lab.Job{Output: 100}, steps: []step{
		{"make.dir", "directory made", 0, findsNothing},
		{"make.locked", "init.lock taken", 0, findsNothing},
		{"make.readme", "README written", 0, findsNothing},
		{"make.output", "output/ made", 0, findsNothing},
		{"make.empty", "ledger.db made, empty", 0, findsNothing},
		{"make.wal", "write-ahead log chosen", 0, findsNothing},
		{"migrate.commit", "before the tables are committed", 0, findsNothing},
		{"make.tables", "tables committed", 0, findsNothing},
		{"make.locks", "locks made", 0, findsNothing},
		{"make.synced", "directory synced", 0, findsNothing},
		{"make.closed", "ledger made", 0, findsNothing},
	}},
	{name: "first call of a later version", fresh: true, before: older, job: lab.Job{Output: 100}, steps: []step{
		{"migrate.locked", "the ledger locked for its migration", 0, findsSuccess},
		{"migrate.commit", "before the migration is committed", 0, findsSuccess},
		{"migrate.done", "migration committed", 0, findsSuccess},
	}},
	{name: "first --hash-env", fresh: true, always: []string{"--hash-env", "HOME"}, job: lab.Job{Output: 100}, steps: []step{
		{"secret.written", "secret written", 0, findsNothing},
		{"secret.named", "secret in its place", 0, findsNothing},
	}},
	{name: "run", job: lab.Job{Output: 100}, steps: []step{
		{"claim.before", "before the claim", 0, findsNothing},
		{"claim.taken", "claimed", 0, findsNothing},
		{"begin.life", "life lock taken", 0, findsNothing},
		{"write.begun", "running: transaction begun", 0, findsNothing},
		{"write.commit", "running: before the commit", 0, findsNothing},
		{"write.committed", "running: committed", 0, findsInterrupted},
		{"write.witnessed", "running: committed and witnessed", 0, findsInterrupted},
		{"fork.before", "before the fork", 0, findsInterrupted},
		{"finish.before", "command ended", 1, findsInterrupted},
		{"finish.output", "output complete", 1, findsInterrupted},
		{"write.begun:2", "outcome: transaction begun", 1, findsInterrupted},
		{"write.commit:2", "outcome: before the commit", 1, findsInterrupted},
		{"write.committed:2", "outcome: committed", 1, findsSuccess},
		{"write.witnessed:2", "outcome: committed and witnessed", 1, findsSuccess},
		{"finish.done", "before the life lock is given back", 1, findsSuccess},
		{"release.before", "before the claim is given back", 1, findsSuccess},
		{"release.after", "after the claim was given back", 1, findsSuccess},
	}},
	{name: "run, command alive", holds: true, job: lab.Job{Output: largeOutput}, steps: []step{
		{"fork.after", "command started", 1, findsRunning},
		{"spool.made", "file for its output made", 1, findsRunning},
	}},
	{name: "run, large output", job: lab.Job{Output: largeOutput}, steps: []step{
		{"finish.output", "output synced", 1, findsInterrupted},
		{"write.commit:2", "outcome: before the commit", 1, findsInterrupted},
		{"write.committed:2", "outcome: committed", 1, findsSuccess},
	}},
	{name: "run that fails", job: lab.Job{Output: 100, Code: lab.ActFails}, steps: []step{
		{"write.commit:2", "outcome: before the commit", 1, findsInterrupted},
		{"write.committed:2", "outcome: committed", 1, findsFailure},
	}},
	{name: "retry", flags: []string{"--retries", "1", "--retry-delay", "1ms"}, job: lab.Job{Output: 100, Code: lab.ActFails}, steps: []step{
		{"write.commit:3", "running again: before the commit", 1, findsFailure},
		{"write.committed:3", "running again: committed", 1, findsInterrupted},
		{"write.committed:4", "outcome: committed", 2, findsFailure},
	}},
	{name: "--mutex", mutex: true, job: lab.Job{Output: 100}, steps: []step{
		{"begin.mutexes", "mutex taken", 0, findsNothing},
		{"write.commit", "running: before the commit", 0, findsNothing},
		{"write.committed", "running: committed", 0, findsInterrupted},
		{"finish.done", "before the life lock is given back", 1, findsSuccess},
		{"release.before", "before the mutex is given back", 1, findsSuccess},
	}},
	{name: "--mutex, command alive", mutex: true, holds: true, job: lab.Job{Output: largeOutput}, steps: []step{
		{"fork.after", "command started", 1, findsRunning},
	}},
	{name: "--mutex --wait", mutex: true, before: holdMutex, flags: []string{"--wait"}, after: freeMutex, job: lab.Job{Output: 100}, steps: []step{
		{"queue.ticket", "in line: before the commit", 0, findsNothing},
		{"queue.joined", "in line: committed", 0, findsNothing},
	}},
	{name: "command that cannot start", before: func(s *trial) { s.writeProgram(brokenProgram) }, after: func(s *trial) { s.writeProgram(mendedProgram) }, job: lab.Job{Output: 100}, steps: []step{
		{"abandon.before", "before running is taken back", 0, findsInterrupted},
		{"write.commit:2", "taken back: before the commit", 0, findsInterrupted},
		{"write.committed:2", "taken back: committed", 0, findsNothing},
	}},
	{name: "--on-interrupted rerun", before: interrupted, flags: []string{"--on-interrupted", "rerun"}, job: lab.Job{Output: 100}, steps: []step{
		{"write.commit", "running again: before the commit", 0, findsInterrupted},
		{"write.committed", "running again: committed", 0, findsInterrupted},
		{"write.committed:2", "outcome: committed", 1, findsSuccess},
	}},
	{name: "--verify, which says 1", before: done, flags: []string{"--verify", "exit 1"}, job: lab.Job{Output: 100}, steps: []step{
		{"claim.before", "verified, before the claim", 0, findsSuccess},
		{"write.commit", "gone: before the commit", 0, findsSuccess},
		{"write.committed", "gone: committed", 0, findsNothing},
		{"begin.life", "life lock taken", 0, findsNothing},
		{"write.commit:2", "running again: before the commit", 0, findsNothing},
		{"write.committed:2", "running again: committed", 0, findsInterrupted},
		{"write.commit:3", "outcome: before the commit", 1, findsInterrupted},
		{"write.committed:3", "outcome: committed", 1, findsSuccess},
	}},
	{name: "mark retry", before: interrupted, args: mark("retry"), job: lab.Job{Output: 100}, steps: []step{
		{"write.commit", "mark: before the commit", 0, findsInterrupted},
		{"write.committed", "mark: committed", 0, findsNothing},
		{"release.before", "before the claim is given back", 0, findsNothing},
	}},
	{name: "mark done", before: interrupted, args: mark("done"), job: lab.Job{Output: 100}, steps: []step{
		{"write.commit", "mark: before the commit", 0, findsInterrupted},
		{"write.committed", "mark: committed", 0, findsMark},
	}},
	{name: "forget", before: done, args: forget, job: lab.Job{Output: largeOutput}, steps: []step{
		{"write.commit", "forgotten: before the commit", 0, findsSuccess},
		{"write.committed", "forgotten: committed", 0, findsNothing},
		{"forget.spools", "recorded output removed", 0, findsNothing},
		{"forget.wal", "write-ahead log emptied", 0, findsNothing},
	}},
	{name: "run, receipts", fresh: true, job: lab.Job{Output: 100}, steps: []step{
		{"receipts.written", "running: receipt written", 0, findsInterrupted},
		{"receipts.stamped", "running: receipts valid", 0, findsInterrupted},
		{"receipts.written:2", "outcome: receipt written", 1, findsSuccess},
		{"receipts.stamped:2", "outcome: receipts valid", 1, findsSuccess},
	}},
	{name: "--force, receipts", fresh: true, before: done, flags: []string{"--force"}, job: lab.Job{Output: 100}, steps: []step{
		{"receipts.erased", "running again: receipt erased", 0, findsSuccess},
		{"receipts.synced", "running again: receipt erased and synced", 0, findsSuccess},
		{"receipts.written", "running again: receipt written", 0, findsInterrupted},
		{"receipts.stamped", "running again: receipts valid", 0, findsInterrupted},
		{"receipts.stamped:2", "outcome: receipts valid", 1, findsSuccess},
	}},
	{name: "forget, receipts", fresh: true, before: done, args: forget, job: lab.Job{Output: 100}, steps: []step{
		{"receipts.erased", "forgotten: receipt erased", 0, findsSuccess},
		{"receipts.synced", "forgotten: receipt erased and synced", 0, findsSuccess},
		{"receipts.stamped", "forgotten: receipts valid", 0, findsNothing},
		{"receipts.stamped:2", "write-ahead log emptied: receipts valid", 0, findsNothing},
	}},
	{name: "mark failed, receipts", fresh: true, before: done, args: markFailed, job: lab.Job{Output: 100}, steps: []step{
		{"receipts.erased", "marked: receipt erased", 0, findsSuccess},
		{"receipts.synced", "marked: receipt erased and synced", 0, findsSuccess},
		{"receipts.stamped", "marked: receipts valid", 0, findsMarkFailed},
	}},
	{name: "receipts of another ledger", fresh: true, before: otherReceipts, flags: []string{"--force"}, job: lab.Job{Output: 100}, steps: []step{
		{"receipts.emptied", "running again: receipts removed", 0, findsSuccess},
		{"receipts.written", "running again: receipt written", 0, findsInterrupted},
		{"receipts.stamped:2", "outcome: receipts valid", 1, findsSuccess},
	}},
	{name: "each", parts: items, asks: each(1), job: lab.Job{Output: 100}, steps: []step{
		{"write.commit", "batch: before the commit", 0, findsNoItem},
		{"write.committed", "batch: committed", 0, findsNoItem},
		{"begin.life", "item: life lock taken", 0, findsNoItem},
		{"begin.listed", "item: listed as not started", 0, findsNoItem},
		{"write.commit:2", "item running: before the commit", 0, findsNoItem},
		{"write.committed:2", "item running: committed", 0, findsNoItem},
		{"begin.done", "item running: committed, before its start", 0, findsNoItem},
		{"start.listed", "item: no longer listed", 0, findsItemInterrupted},
		{"fork.before", "item: before the fork", 0, findsItemInterrupted},
		{"finish.before", "item: command ended", 1, findsItemInterrupted},
		{"write.commit:3", "item outcome: before the commit", 1, findsItemInterrupted},
		{"write.committed:3", "item outcome: committed", 1, findsItemDone},
		{"begin.done:2", "second item running: committed, before its start", 1, findsItemDone},
	}},
	{name: "each, large output", parts: items, asks: each(1), job: lab.Job{Output: largeOutput}, steps: []step{
		{"finish.output", "item: output synced", 1, findsItemInterrupted},
		{"write.commit:3", "item outcome: before the commit", 1, findsItemInterrupted},
		{"write.committed:3", "item outcome: committed", 1, findsItemDone},
	}},
	{name: "each -j 3", parts: items, asks: each(3), job: lab.Job{Output: 100}, steps: []step{
		{"begin.listed", "first item listed as not started", 0, findsNoItem},
		{"begin.listed:3", "all items listed as not started", 0, findsMixture},
		{"write.commit:2", "items running: before the commit", 0, findsNoItem},
		{"write.committed:2", "items running: committed", 0, findsNoItem},
		{"begin.done", "items running: committed, before a start", 0, findsNoItem},
		{"begin.done:3", "the same, at the third item", 0, findsMixture},
		{"start.listed", "an item no longer listed", 0, findsOneInterrupted},
		{"fork.before", "before the first fork", 0, findsOneInterrupted},
		{"fork.after", "first command started", 0, findsOneInterrupted},
		{"finish.before", "first command ended", 1, findsOneInterrupted},
		{"write.commit:3", "next commit: before it", 0, findsMixture},
		{"write.committed:3", "next commit: after it", 0, findsMixture},
		{"finish.done", "first outcome: committed", 1, findsMixture},
	}},
	{name: "forget of a batch", parts: items, asks: each(1), before: done, args: forget, job: lab.Job{Output: largeOutput}, steps: []step{
		{"write.commit", "forgotten: before the commit", 0, findsSuccess},
		{"write.committed", "forgotten: committed", 0, findsNoItem},
		{"forget.spools", "before the items are deleted", 0, findsNoItem},
		{"write.commit:2", "items deleted: before the commit", 0, findsNoItem},
		{"write.committed:2", "items deleted: committed", 0, findsNoItem},
		{"forget.piece", "items and their output deleted", 0, findsNoItem},
		{"forget.wal", "write-ahead log emptied", 0, findsNoItem},
	}},
	{name: "step", parts: stepNames, asks: killStep, ends: 128 + lab.SigKill, job: lab.Job{Output: 100}, steps: []step{
		{"claim.taken", "step: claimed", 0, findsNoStep},
		{"begin.life", "step: life lock taken", 0, findsNoStep},
		{"write.commit", "step running: before the commit", 0, findsNoStep},
		{"write.committed", "step running: committed", 0, findsStepInterrupted},
		{"fork.before", "step: before the fork", 0, findsStepInterrupted},
		{"finish.before", "step: command ended", 1, findsStepInterrupted},
		{"write.commit:2", "step outcome: before the commit", 1, findsStepInterrupted},
		{"write.committed:2", "step outcome: committed", 1, findsStepDone},
		{"release.after", "step: after the claim was given back", 1, findsStepDone},
	}},
	{name: "run of steps", parts: stepNames, asks: script, job: lab.Job{Output: 100}, steps: []step{
		{"write.commit", "running: before the commit", 0, findsNoStep},
		{"write.committed", "running: committed", 0, findsNoStep},
		{"finish.before", "script ended", 2, findsSuccess},
		{"write.commit:2", "outcome: before the commit", 2, findsSuccess},
		{"write.committed:2", "outcome: committed", 2, findsSuccess},
	}},
}

// items are the items of all batches.
var items = []string{"one", "two", "three"}

// stepNames are the steps of all scripts.
var stepNames = []string{"one", "two"}

// interrupted leaves the key interrupted.
func interrupted(s *trial) { s.runKilledAt("write.committed") }

// holdMutex starts a call of another key that holds the mutex until freeMutex.
func holdMutex(s *trial) {
	holder := lab.Job{Key: s.job.Key + ":holder", Hold: s.holderFile()}
	lab.Must(os.WriteFile(holder.Hold, nil, 0o600))
	s.holder = make(chan lab.Call, 1)
	go func() { s.holder <- s.Run(holder, 1, []string{"--mutex", s.job.Key}) }()
	for s.Runs(holder.Key).Total() == 0 {
		time.Sleep(5 * time.Millisecond)
	}
}

func freeMutex(s *trial) {
	lab.Must(os.Remove(s.holderFile()))
	if c := <-s.holder; c.Code != 0 {
		s.Fail(noTable, s.job.Key, "%s: the holder of the mutex: status %d: %s", s.scenario.name, c.Code, c.Stderr())
	}
}

func (s *trial) holderFile() string { return filepath.Join(s.Dir, s.job.Key+".holder") }

// done leaves the key done.
func done(s *trial) { s.runJob(nil) }

// older leaves the key done in a ledger that needs a migration in all later calls.
func older(s *trial) {
	s.runJob(nil)
	s.Env = append(s.Env, "IDEM_FAILPOINT_MIGRATION=alter table attempts add column extra text not null default ''")
}

// mark returns the arguments of idem mark with an outcome.
func mark(outcome string) func(*trial) []string {
	return func(s *trial) []string { return []string{"mark", outcome, s.job.Key} }
}

// forget returns the arguments of idem forget.
func forget(s *trial) []string { return []string{"forget", s.job.Key} }

// markFailed returns the arguments of idem mark failed for a success.
func markFailed(s *trial) []string { return []string{"mark", "failed", "--force", s.job.Key} }

// otherReceipts leaves the key done, and puts the receipts of an earlier moment into the ledger.
func otherReceipts(s *trial) {
	done(s)
	receipts := filepath.Join(s.Ledger, lab.ReceiptsName)
	earlier := filepath.Join(s.Dir, s.job.Key+".receipts")
	lab.Must(lab.CopyFile(receipts, earlier))
	if c := s.Run(lab.Job{Key: s.job.Key + ":later"}, 1, nil); c.Code != 0 {
		s.Fail(noTable, s.job.Key, "%s: a later call: status %d: %s", s.scenario.name, c.Code, c.Stderr())
	}
	lab.Must(lab.CopyFile(earlier, receipts))
}
