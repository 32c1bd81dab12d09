package steps

import (
	"os"
	"slices"

	"idem/test/chaos/lab"
)

// copies are the calls that copy, restore or move a ledger.
var copies = []scenario{
	{name: "ledger backup", before: done, args: backup, after: wholeCopy, job: lab.Job{Output: largeOutput}, steps: []step{
		{"part.made", "directory for the copy made", 0, findsSuccess},
		{"copy.records", "records copied", 0, findsSuccess},
		{"copy.outputs", "outputs copied", 0, findsSuccess},
		{"copy.files", "before the copy gets locks", 0, findsSuccess},
		{"part.complete", "before the copy gets its name", 0, findsSuccess},
		{"part.renamed", "copy named", 0, findsSuccess},
	}},
	{name: "ledger backup FILE.tar", before: done, args: backupTar, after: wholeCopy, job: lab.Job{Output: largeOutput}, steps: []step{
		{"copy.records", "records copied", 0, findsSuccess},
		{"archive.complete", "before the tar gets its name", 0, findsSuccess},
		{"archive.named", "tar named", 0, findsSuccess},
	}},
	{name: "ledger restore --replace", fresh: true, before: doneAndCopied, args: restore, job: lab.Job{Output: largeOutput}, steps: []step{
		{"restore.received", "backup read", 0, findsSuccess},
		{"restore.turn", "no other call can write", 0, findsSuccess},
		{"restore.complete", "before both ledgers exchange their names", 0, findsSuccess},
		{"restore.exchanged", "names exchanged", 0, findsSuccess},
	}},
	{name: "ledger move", fresh: true, before: done, args: move, after: completeMove, job: lab.Job{Output: largeOutput}, steps: []step{
		{"move.turn", "no other call can write", 0, findsSuccess},
		{"copy.outputs", "outputs copied", 0, findsSuccess},
		{"part.complete", "before the copy gets its name", 0, findsSuccess},
		{"part.renamed", "copy named, without locks", 0, findsSuccess},
		{"move.marked", "mark at the old place", 0, findsSuccess},
		{"move.left", "locks of the old place removed", 0, findsSuccess},
		{"move.sealed", "mark says that the new place may take calls", 0, findsSuccess},
		{"copy.files", "before the new place gets locks", 0, findsSuccess},
		{"move.arrived", "locks of the new place made", 0, findsSuccess},
		{"move.cleared", "files of the old place removed", 0, findsSuccess},
	}},
	{name: "ledger import", fresh: true, before: doneAndExported, args: importRecords, after: importAgain, job: lab.Job{Output: largeOutput}, steps: []step{
		{"put.named", "output named, before the commit", 0, findsSuccess},
	}},
	{name: "gc", fresh: true, before: done, args: gc, after: gcAgain, job: lab.Job{Output: largeOutput}, steps: []step{
		{"collect.committed", "output recorded as removed, before its file goes", 0, findsBareSuccess},
	}},
}

// all returns all scenarios.
func all() []scenario { return slices.Concat(scenarios, copies) }

// other is the path of the copy, or the new place.
func (s *trial) other() string { return s.Ledger + ".other." + s.job.Key }

func backup(s *trial) []string    { return []string{"ledger", "backup", s.other()} }
func backupTar(s *trial) []string { return []string{"ledger", "backup", s.other() + ".tar"} }
func move(s *trial) []string      { return []string{"ledger", "move", s.other()} }

func restore(s *trial) []string {
	return []string{"ledger", "restore", s.other(), "--replace", "--yes"}
}

func doneAndCopied(s *trial) {
	done(s)
	s.succeeds(backup(s)...)
}

func (s *trial) exported() string { return s.other() + ".jsonl" }

func doneAndExported(s *trial) {
	done(s)
	s.calls++
	c := s.Call(s.job.Key, s.calls, []string{"ledger", "export", "--outputs"})
	lab.Must(os.WriteFile(s.exported(), []byte(c.Stdout()), 0o600))
}

func importRecords(s *trial) []string {
	return []string{"--ledger", s.other(), "ledger", "import", s.exported()}
}

// importAgain imports the same records again, and goes on at the new place.
func importAgain(s *trial) {
	s.succeeds(importRecords(s)...)
	s.Ledger = s.other()
}

func gc(*trial) []string { return []string{"gc", "--outputs-older-than", "0"} }

func gcAgain(s *trial) { s.succeeds(gc(s)...) }

// succeeds makes a call that has to end with status 0.
func (s *trial) succeeds(args ...string) {
	s.calls++
	if c := s.Call(s.job.Key, s.calls, args); c.Code != 0 {
		s.Fail(noTable, s.job.Key, "%s, killed at %s: idem %q: status %d: %s", s.scenario.name, s.step.point, args, c.Code, c.Stderr())
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// wholeCopy checks that a copy is whole or absent, and that the next one succeeds.
func wholeCopy(s *trial) {
	tar := s.other() + ".tar"
	switch {
	case exists(tar):
		s.succeeds("--ledger", s.other()+".restored", "ledger", "restore", tar)
	case exists(s.other()):
		s.succeeds("ledger", "check", s.other())
	case s.step.point != "part.complete": // a part that lacks only its name is kept
		s.succeeds(s.scenario.args(s)...)
	}
}

// completeMove checks that at most one of the two places takes calls. Then it makes the same move
// again, and goes on at the new place.
func completeMove(s *trial) {
	takes := 0
	for _, place := range []string{s.Ledger, s.other()} {
		if !exists(place) {
			continue // a call would begin a ledger there
		}
		s.calls++
		if c := s.Call(s.job.Key, s.calls, []string{"--ledger", place, "run", "--key", "asks", "--", "true"}); c.Code == 0 {
			takes++
		}
	}
	if takes > 1 {
		s.Fail(noTable, s.job.Key, "%s, killed at %s: both places take calls", s.scenario.name, s.step.point)
	}
	s.succeeds(move(s)...)
	if exists(s.other() + "/PART") {
		s.Fail(noTable, s.job.Key, "%s, killed at %s: the new place has PART", s.scenario.name, s.step.point)
	}
	s.Ledger = s.other()
}
