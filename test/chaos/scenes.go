package main

// scenes are all calls that are killed, at all points of internal/failpoint.
// A point with :2 is the second time that it is reached: a run writes twice, at
// its beginning and with its outcome.
var scenes = []scene{
	{name: "first call of all", fresh: true, order: order{bytes: 100}, steps: []step{
		{"make.dir", "directory made", 0, isNew},
		{"make.locked", "init.lock taken", 0, isNew},
		{"make.readme", "README written", 0, isNew},
		{"make.output", "output/ made", 0, isNew},
		{"make.empty", "ledger.db made, empty", 0, isNew},
		{"make.wal", "write-ahead log chosen", 0, isNew},
		{"migrate.commit", "before the tables are committed", 0, isNew},
		{"make.tables", "tables committed", 0, isNew},
		{"make.locks", "locks made", 0, isNew},
		{"make.synced", "directory synced", 0, isNew},
		{"make.closed", "ledger made", 0, isNew},
	}},
	{name: "first call of a later version", fresh: true, prior: older, order: order{bytes: 100}, steps: []step{
		{"migrate.locked", "the ledger locked for its migration", 0, isDone},
		{"migrate.commit", "before the migration is committed", 0, isDone},
		{"migrate.done", "migration committed", 0, isDone},
	}},
	{name: "first --hash-env", fresh: true, always: []string{"--hash-env", "HOME"}, order: order{bytes: 100}, steps: []step{
		{"secret.written", "secret written", 0, isNew},
		{"secret.named", "secret in its place", 0, isNew},
	}},
	{name: "run", order: order{bytes: 100}, steps: []step{
		{"claim.before", "before the claim", 0, isNew},
		{"claim.taken", "claimed", 0, isNew},
		{"begin.life", "life lock taken", 0, isNew},
		{"write.begun", "running: transaction begun", 0, isNew},
		{"write.commit", "running: before the commit", 0, isNew},
		{"write.committed", "running: committed", 0, isUnknown},
		{"write.witnessed", "running: committed and witnessed", 0, isUnknown},
		{"fork.before", "before the fork", 0, isUnknown},
		{"finish.before", "command ended", 1, isUnknown},
		{"finish.output", "output complete", 1, isUnknown},
		{"write.begun:2", "outcome: transaction begun", 1, isUnknown},
		{"write.commit:2", "outcome: before the commit", 1, isUnknown},
		{"write.committed:2", "outcome: committed", 1, isDone},
		{"write.witnessed:2", "outcome: committed and witnessed", 1, isDone},
		{"finish.done", "before the life lock is given back", 1, isDone},
		{"release.before", "before the claim is given back", 1, isDone},
		{"release.after", "after the claim was given back", 1, isDone},
	}},
	{name: "run, command alive", holds: true, order: order{bytes: largeOutput}, steps: []step{
		{"fork.after", "command started", 1, isAlive},
		{"spool.made", "file for its output made", 1, isAlive},
	}},
	{name: "run, large output", order: order{bytes: largeOutput}, steps: []step{
		{"finish.output", "output synced", 1, isUnknown},
		{"write.commit:2", "outcome: before the commit", 1, isUnknown},
		{"write.committed:2", "outcome: committed", 1, isDone},
	}},
	{name: "run that fails", order: order{bytes: 100, code: actFails}, steps: []step{
		{"write.commit:2", "outcome: before the commit", 1, isUnknown},
		{"write.committed:2", "outcome: committed", 1, isFailed},
	}},
	{name: "retry", flags: []string{"--retries", "1", "--retry-delay", "1ms"}, order: order{bytes: 100, code: actFails}, steps: []step{
		{"write.commit:3", "running again: before the commit", 1, isFailed},
		{"write.committed:3", "running again: committed", 1, isUnknown},
		{"write.committed:4", "outcome: committed", 2, isFailed},
	}},
	{name: "command that cannot start", prior: func(s *staging) { s.program(brokenProgram) }, after: func(s *staging) { s.program(mendedProgram) }, order: order{bytes: 100}, steps: []step{
		{"abandon.before", "before running is taken back", 0, isUnknown},
		{"write.commit:2", "taken back: before the commit", 0, isUnknown},
		{"write.committed:2", "taken back: committed", 0, isNew},
	}},
	{name: "--on-interrupted rerun", prior: interrupted, flags: []string{"--on-interrupted", "rerun"}, order: order{bytes: 100}, steps: []step{
		{"write.commit", "running again: before the commit", 0, isUnknown},
		{"write.committed", "running again: committed", 0, isUnknown},
		{"write.committed:2", "outcome: committed", 1, isDone},
	}},
	{name: "mark retry", prior: interrupted, args: mark("retry"), order: order{bytes: 100}, steps: []step{
		{"write.commit", "mark: before the commit", 0, isUnknown},
		{"write.committed", "mark: committed", 0, isNew},
		{"release.before", "before the claim is given back", 0, isNew},
	}},
	{name: "mark done", prior: interrupted, args: mark("done"), order: order{bytes: 100}, steps: []step{
		{"write.commit", "mark: before the commit", 0, isUnknown},
		{"write.committed", "mark: committed", 0, isMarked},
	}},
	{name: "forget", prior: done, args: func(o order) []string { return []string{"forget", o.key} }, order: order{bytes: largeOutput}, steps: []step{
		{"write.commit", "forgotten: before the commit", 0, isDone},
		{"write.committed", "forgotten: committed", 0, isNew},
		{"forget.spools", "recorded output removed", 0, isNew},
		{"forget.wal", "write-ahead log emptied", 0, isNew},
	}},
}

// interrupted leaves the key interrupted.
func interrupted(s *staging) { s.killedAt("write.committed") }

// done leaves the key done.
func done(s *staging) { s.next(nil) }

// older leaves the key done in a ledger that all later calls have a migration for.
func older(s *staging) {
	s.next(nil)
	s.env = append(s.env, "IDEM_FAILPOINT_MIGRATION=alter table attempts add column extra text not null default ''")
}

func mark(how string) func(order) []string {
	return func(o order) []string { return []string{"mark", how, o.key} }
}
