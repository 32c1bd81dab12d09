package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"idem/internal/failpoint"
	"idem/ledger"
)

const secretSize = 32

// Secret returns random bytes that belong to this ledger; they are made when
// they are first asked for. What must not be guessed from what is stored (the
// value of an environment variable) is hashed with them. Should the file be
// lost, such inputs no longer compare equal, so that nothing runs unasked.
func (l *Ledger) Secret(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	secret, err := l.readSecret()
	if errors.Is(err, fs.ErrNotExist) {
		secret, err = l.makeSecret(ctx)
	}
	return secret, l.explain(err)
}

// FindSecret is Secret for who writes nothing: empty when there is none yet.
func (l *Ledger) FindSecret() ([]byte, error) {
	secret, err := l.readSecret()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return secret, l.explain(err)
}

func (l *Ledger) readSecret() ([]byte, error) {
	if _, err := ourFile(l.dir.file("secret")); err != nil {
		return nil, err
	}
	secret, err := os.ReadFile(l.dir.file("secret"))
	if err == nil && len(secret) != secretSize {
		err = fmt.Errorf("%w: its secret has %d bytes", ledger.ErrCorrupt, len(secret))
	}
	return secret, err
}

// makeSecret makes the file, once, and durable before anything is hashed.
func (l *Ledger) makeSecret(ctx context.Context) ([]byte, error) {
	if _, err := l.writer(ctx); err != nil { // makes the ledger when there is none
		return nil, err
	}
	unlock, err := l.lockInit(os.O_CREATE)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if secret, err := l.readSecret(); !errors.Is(err, fs.ErrNotExist) {
		return secret, err // somebody was faster
	}
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails
	f, err := l.dir.create("secret.new", os.O_WRONLY|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(secret)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	failpoint.Here("secret.written")
	if err := l.dir.rename("secret.new", "secret"); err != nil {
		return nil, err
	}
	failpoint.Here("secret.named")
	// It was looked for by path: what is hashed with it is of no use to another
	// ledger.
	if err := l.dir.sync("."); err != nil {
		return nil, err
	}
	return secret, l.dir.check("ledger.db")
}
