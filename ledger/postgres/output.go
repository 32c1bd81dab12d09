package postgres

import (
	"context"
	"os"
	"path/filepath"

	"idem/ledger"
	"idem/ledger/postgres/wire"
)

func spoolName(runID string) string { return filepath.Join("output", runID) }

func (s *local) createSpool(runID string) (*os.File, error) {
	return s.dir.Create(spoolName(runID), os.O_RDWR|os.O_EXCL)
}

// removeSpool removes the file of an attempt, if there is one.
func (s *local) removeSpool(runID string) { _ = s.dir.Remove(spoolName(runID)) }

// remember keeps a record that Get has read, because a replay reads its output next.
func (l *Ledger) remember(r record) {}

// Write implements ledger.Execution.
func (e *execution) Write(s ledger.Stream, p []byte) { panic("output") }

// endOutput ends the recording and sends what does not fit in the row of the record. It sets
// the fields of a that describe the output. inline is nil unless the output is in the row.
func (e *execution) endOutput(ctx context.Context, a *ledger.Attempt, missed ledger.Gaps) (out output, inline []byte) {
	if e.spool == nil {
		a.OutputBytes = e.unkept + missed.Total()
		return output{storage: storageRefused}, nil
	}
	panic("output")
}

// dropOutput ends the recording of an attempt whose command was not started.
func (e *execution) dropOutput() { panic("output") }

// Output implements ledger.Ledger.
func (l *Ledger) Output(ctx context.Context, id ledger.ID, runID string) (ledger.Output, error) {
	panic("output")
}

// Scratch implements ledger.Store.
func (l *Ledger) Scratch() (*os.File, error) { panic("output") }

// Backlog implements ledger.Store.
func (l *Ledger) Backlog() (ledger.Backlog, error) { panic("output") }

// fileStmts returns statements that store the files of an attempt after its outcome.
func (l *Ledger) fileStmts(id ledger.ID, runID string, files []ledger.File) []*wire.Stmt {
	if len(files) == 0 {
		return nil
	}
	panic("files")
}

// Files implements ledger.Ledger.
func (l *Ledger) Files(ctx context.Context, id ledger.ID, runID string) ([]ledger.File, error) {
	panic("files")
}
