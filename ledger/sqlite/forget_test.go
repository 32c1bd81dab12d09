package sqlite

import (
	"os/signal"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/filelock"
)

// TestForgetStaysPatient checks that the busy timeout is restored after the log could not
// be emptied, as on a full disk. It is not parallel, because it sets a limit of the process.
func TestForgetStaysPatient(t *testing.T) {
	place := made(t)
	l := opened(t, place)
	runs(t, l, ledger.ID{Namespace: "default", Key: "more"}, "r4", []byte("out"), success) // puts commits into the log
	signal.Ignore(syscall.SIGXFSZ)
	var lim unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &lim))
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1, Max: lim.Max}))
	_, err := l.db.Exec("pragma wal_checkpoint(truncate)")
	l.eraseWAL(t.Context())
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &lim))
	if err == nil {
		t.Fatal("the log was emptied")
	}
	var ms int64
	must(t, l.db.QueryRow("pragma busy_timeout").Scan(&ms))
	if ms != filelock.Timeout.Milliseconds() {
		t.Errorf("the handle waits %d ms for a lock", ms)
	}
}
