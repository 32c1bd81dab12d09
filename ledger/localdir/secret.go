package localdir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"idem/internal/failpoint"
	"idem/ledger"
)

const secretSize = 32

// Secret returns the random bytes that belong to this ledger. Values such as those of
// environment variables are hashed with them, so that a reader of the ledger cannot
// confirm a guessed value. If the file is lost, such inputs no longer compare equal, so
// no command runs unasked. The error is fs.ErrNotExist when there is no secret yet.
func (d *Dir) Secret() ([]byte, error) {
	if _, err := d.Lookup("secret"); err != nil {
		return nil, err
	}
	secret, err := os.ReadFile(d.File("secret"))
	if err == nil && len(secret) != secretSize {
		err = fmt.Errorf("%w: its secret has %d bytes", ledger.ErrCorrupt, len(secret))
	}
	return secret, err
}

// MakeSecret creates the secret unless there is one, and returns it. The file is
// durable when MakeSecret returns, before any value is hashed with it. The caller holds
// init.lock.
func (d *Dir) MakeSecret() ([]byte, error) {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails
	return d.KeepSecret(secret)
}

// KeepSecret is MakeSecret with the secret of another ledger.
func (d *Dir) KeepSecret(secret []byte) ([]byte, error) {
	if secret, err := d.Secret(); !errors.Is(err, fs.ErrNotExist) {
		return secret, err // another process was faster
	}
	if len(secret) != secretSize {
		return nil, fmt.Errorf("%w: a secret has %d bytes", ledger.ErrCorrupt, len(secret))
	}
	f, err := d.Create("secret.new", os.O_WRONLY|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(secret)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	failpoint.Here("secret.written")
	if err := d.Rename("secret.new", "secret"); err != nil {
		return nil, err
	}
	failpoint.Here("secret.named")
	return secret, d.Sync(".")
}
