package sqlite

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"

	"idem/ledger"
	"idem/ledger/filelock"
)

// Secret implements ledger.Store.
func (l *Ledger) Secret(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	secret, err := l.dir.Secret()
	if errors.Is(err, fs.ErrNotExist) {
		secret, err = l.makeSecret(ctx, l.dir.MakeSecret)
	}
	return secret, l.explain(err)
}

// SetSecret implements ledger.Rekeying.
func (l *Ledger) SetSecret(ctx context.Context, secret []byte) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	is, err := l.dir.Secret()
	if errors.Is(err, fs.ErrNotExist) { // nothing was hashed yet
		is, err = l.makeSecret(ctx, func() ([]byte, error) { return l.dir.KeepSecret(secret) })
	}
	return bytes.Equal(is, secret), l.explain(err)
}

func (l *Ledger) makeSecret(ctx context.Context, makeIt func() ([]byte, error)) ([]byte, error) {
	if _, err := l.writer(ctx); err != nil { // creates the ledger when there is none
		return nil, err
	}
	unlock, err := filelock.Init(l.dir, os.O_CREATE)
	if err != nil {
		return nil, err
	}
	defer unlock()
	secret, err := makeIt()
	if err != nil {
		return nil, err
	}
	// The secret was found by path. If the path now leads to another ledger, the secret
	// is of no use: inputs hashed with it would never match in this ledger.
	return secret, l.dir.Check("ledger.db")
}

// FindSecret implements ledger.Store.
func (l *Ledger) FindSecret() ([]byte, error) {
	secret, err := l.dir.Secret()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return secret, l.explain(err)
}

// Scratch implements ledger.Store.
func (l *Ledger) Scratch() (*os.File, error) {
	l.mu.Lock()
	_, err := l.writer(context.Background()) // creates the ledger when there is none
	l.mu.Unlock()
	if err != nil {
		return nil, l.explain(err)
	}
	f, err := l.dir.Scratch()
	return f, l.explain(err)
}

// Backlog implements ledger.Store.
func (l *Ledger) Backlog() (ledger.Backlog, error) {
	b, err := l.dir.Backlog()
	if err != nil {
		return nil, l.explain(err) // not b, which would be a non-nil interface
	}
	return b, nil
}
