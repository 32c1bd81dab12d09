package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
	"idem/ledger/postgres/pgtest"
)

// mutexKit is a new ledger with several hosts.
type mutexKit struct {
	*testing.T
	server *pgtest.Server
	schema string
	hosts  map[string]string // local directories by host
}

func newMutexKit(t *testing.T) *mutexKit {
	t.Parallel()
	k := &mutexKit{T: t, server: pgtest.Shared(t), hosts: map[string]string{}}
	k.schema = k.server.NewSchema(t)
	must(t, initialize(t.Context(), k.server.URL(pgtest.Owner, pgtest.Database, k.schema), InitOptions{Grant: []string{pgtest.CI}}))
	return k
}

// open opens a handle on a host, with default options.
func (k *mutexKit) open(host string) *Ledger {
	return k.openAt(host, k.server.URL(pgtest.CI, pgtest.Database, k.schema), Options{})
}

func (k *mutexKit) openAt(host, url string, o Options) *Ledger {
	k.Helper()
	base, ok := k.hosts[host]
	if !ok {
		base = k.TempDir()
		must(k.T, os.Chmod(base, 0o700))
		k.hosts[host] = base
	}
	m := &mortal{}
	o.LocalBase = filepath.Join(base, "idem")
	o.space = func(dir *localdir.Dir) filelock.Space {
		m.Space = filelock.New(dir)
		return m
	}
	l, err := Open(url, o)
	must(k.T, err)
	k.Cleanup(func() { _ = l.Close() })
	return l
}

// die ends what a handle holds, as the death of its process does. Its leases run on at the server.
func (k *mutexKit) die(l *Ledger) {
	l.leases.mu.Lock()
	clear(l.leases.all)
	l.leases.mu.Unlock()
	l.local.locks.(*mortal).die()
}

// expire ends the lease of a key.
func (k *mutexKit) expire(key string) {
	k.server.Exec(k.T, "update "+k.schema+".record set lease_until = clock_timestamp() - interval '1 s' where key = '"+key+"'")
}

func (k *mutexKit) rows() string {
	k.Helper()
	return k.server.Query(k.T, "select count(*) from "+k.schema+".mutex")
}

func (k *mutexKit) claim(l *Ledger, key string) *claim {
	k.Helper()
	c, err := l.claim(k.Context(), ledger.ID{Namespace: "n", Key: key})
	must(k.T, err)
	return c
}

var (
	oneM   = []ledger.Mutex{{Name: "m", Limit: 1}}
	exited = ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit}
	died   = ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonSignal, ExitCode: 137, Signal: 9}
)

func startM(mutexes ...ledger.Mutex) ledger.Start {
	return ledger.Start{RunID: uuid.NewString(), Mutexes: mutexes}
}

// hold begins an attempt with mutex m.
func (k *mutexKit) hold(l *Ledger, key string) (*claim, ledger.Execution) {
	k.Helper()
	c := k.claim(l, key)
	x, err := c.Begin(k.Context(), startM(oneM...))
	must(k.T, err)
	return c, x
}

// taken checks that no other key of a host can take mutex m, and free that one can.
func (k *mutexKit) taken(l *Ledger, why string) {
	k.Helper()
	if err := k.try(l); !errors.As(err, new(*ledger.MutexError)) {
		k.Fatalf("%s: got error %v, want a *MutexError", why, err)
	}
}

func (k *mutexKit) free(l *Ledger, why string) {
	k.Helper()
	if err := k.try(l); err != nil {
		k.Fatalf("%s: %v", why, err)
	}
}

func (k *mutexKit) try(l *Ledger) error {
	k.Helper()
	c := k.claim(l, "try"+uuid.NewString())
	_, err := c.Begin(k.Context(), startM(oneM...))
	must(k.T, c.Release())
	return err
}

// inherit keeps the descriptors of an execution open until end, as its command does.
func (k *mutexKit) inherit(x ledger.Execution) (end func()) {
	k.Helper()
	f := x.(ledger.Inheriting).Descriptors()[0]
	fd, err := dup(f)
	must(k.T, err)
	end = func() { _ = fd.Close() }
	k.Cleanup(end)
	return end
}

// eventually waits for a condition. The deadline of the test run ends the wait.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for !ok() {
		if t.Context().Err() != nil {
			t.Fatal("the test has ended")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// dup returns a copy of a descriptor, which shares its locks.
func dup(f *os.File) (*os.File, error) {
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), f.Name()), nil
}
