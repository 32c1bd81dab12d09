package postgres

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"idem/ledger"
	"idem/ledger/spool"
)

func (l *Ledger) keepMarkOutput(ctx context.Context, m ledger.Mark, name []byte) (out output, inline []byte, err error) {
	b, err := io.ReadAll(m.Stdout)
	w := spool.NewWriter(m.MaxOutput, time.Now(), func() (*os.File, error) { panic("output") })
	w.Write(ledger.Stdout, b)
	w.Miss(m.Captured().Unread)
	sum, e := w.Close(true)
	return output{storage: storageInline, sum: sum.Sum, size: int64(len(sum.Inline))}, sum.Inline, errors.Join(err, e)
}
