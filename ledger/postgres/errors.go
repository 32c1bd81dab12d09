package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/postgres/dsn"
)

// explain returns the error of the ledger for an error of the server or of a local file. An
// error about a key stays as it is.
func (l *Ledger) explain(err error) error {
	if err == nil {
		return nil
	}
	for _, key := range []error{ledger.ErrNotFound, ledger.ErrChanged, ledger.ErrHistory, ledger.ErrLost, errReleased} {
		if errors.Is(err, key) {
			return err
		}
	}
	if errors.As(err, new(*ledger.BusyError)) || errors.As(err, new(*ledger.MutexError)) || errors.As(err, new(*ledger.KeptError)) ||
		errors.As(err, new(*ledger.Error)) || errors.Is(err, context.Canceled) {
		return err
	}
	e := &ledger.Error{Place: l.cfg.Name(), Err: classify(err)}
	if dsn.Class(err) == dsn.Pooling {
		e.Hint = poolingHint
	}
	if dial := (*dsn.DialError)(nil); errors.As(err, &dial) {
		e.Hint = dial.Hint
	}
	return e
}

const poolingHint = "set in the configuration of PgBouncer: pool_mode = transaction"

// classify joins an error with the one of package ledger that it means. The text never contains
// what the server was told.
func classify(err error) error {
	if errors.As(err, new(*ledger.Fault)) {
		return err
	}
	for _, known := range []error{ledger.ErrCorrupt, ledger.ErrVersion, ledger.ErrFailedOver, ledger.ErrTooLate, ledger.ErrReadOnly, ledger.ErrUnsafe, ledger.ErrForeign, ledger.ErrMissing} {
		if errors.Is(err, known) {
			return err
		}
	}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: %w", ledger.ErrFull, err)
	case errors.As(err, new(*fs.PathError)) && errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", ledger.ErrDenied, err)
	case errors.As(err, new(*fs.PathError)):
		return err
	}
	kinds := map[dsn.Kind]error{
		dsn.Unreachable: ledger.ErrUnreachable, dsn.TooMany: ledger.ErrUnreachable, dsn.Auth: ledger.ErrDenied, dsn.Denied: ledger.ErrDenied,
		dsn.NoDatabase: ledger.ErrMissing, dsn.NoSchema: ledger.ErrMissing, dsn.ReadOnly: ledger.ErrReadOnly, dsn.Full: ledger.ErrFull,
		dsn.TLS: ledger.ErrUnreachable,
	}
	is, ok := kinds[dsn.Class(err)]
	switch {
	case !ok:
		return errors.New(dsn.Text(err))
	case errors.Is(is, ledger.ErrDenied): // the server's text says so
		return &deniedError{dsn.Text(err)}
	}
	return fmt.Errorf("%w: %s", is, dsn.Text(err))
}

// deniedError is ledger.ErrDenied with the text of the server alone.
type deniedError struct{ text string }

func (e *deniedError) Error() string { return e.text }
func (e *deniedError) Unwrap() error { return ledger.ErrDenied }
