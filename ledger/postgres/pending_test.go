package postgres

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/pgtest/proxy"
)

// unsentKit is a ledger whose host a reaches the server through a proxy.
type unsentKit struct {
	*mutexKit
	p     *proxy.Proxy
	place string
	o     Options
	warn  *[]string
}

func newUnsentKit(t *testing.T) *unsentKit {
	k := &unsentKit{mutexKit: newMutexKit(t), warn: new([]string)}
	k.p = pgtest.Proxy(t, k.server.Addr())
	k.place = pgtest.URL(k.p.Addr(), pgtest.CI, pgtest.Database, k.schema, "sslmode=disable")
	var mu sync.Mutex
	k.o = Options{Warn: func(s string) {
		mu.Lock()
		defer mu.Unlock()
		*k.warn = append(*k.warn, s)
	}}
	return k
}

// host opens a handle on host a.
func (k *unsentKit) host() *Ledger { return k.openAt("a", k.place, k.o) }

// impatient opens a handle on host a that is to fail. On a busy machine, an answer may take more than
// its second, so it is never for a call that is to succeed.
func (k *unsentKit) impatient() *Ledger {
	return k.openAt("a", k.place, Options{ConnectTimeout: time.Second})
}

// cut breaks the network. mend mends it.
func (k *unsentKit) cut()  { k.p.Cut(proxy.Both); k.p.Reset() }
func (k *unsentKit) mend() { k.p.Heal() }

// begin begins an attempt of a key. The handle's output is kept.
func (k *unsentKit) begin(l *Ledger, key string) (*claim, ledger.Execution) {
	k.Helper()
	c := k.claim(l, key)
	x, err := c.Begin(k.Context(), ledger.Start{RunID: uuid.NewString(), MaxOutput: 10 << 20})
	must(k.T, err)
	return c, x
}

// unsent finishes an attempt while the network is cut, and releases its claim. It returns the file
// of the outcome.
func (k *unsentKit) unsent(c *claim, x ledger.Execution, o ledger.Outcome) string {
	k.Helper()
	if o := &c.ledger.opt; o.FinishTimeout == DefaultFinishTimeout {
		o.FinishTimeout = time.Second
		defer func() { o.FinishTimeout = DefaultFinishTimeout }()
	}
	k.cut()
	_, err := x.Finish(k.Context(), o)
	var unsent *ledger.UnsentError
	if !errors.As(err, &unsent) || unsent.Path == "" || !errors.Is(err, ledger.ErrUnreachable) {
		k.Fatalf("Finish without a server: got error %v, want an UnsentError with a file", err)
	}
	k.gone(c)
	return unsent.Path
}

// gone ends a claim as the end of its process does.
func (k *unsentKit) gone(c *claim) {
	k.Helper()
	c.ledger.leases.remove(c.held)
	must(k.T, c.lock.Release())
	c.lock = nil
}

func (k *unsentKit) state(l *Ledger, key string, want ledger.State) ledger.Attempt {
	k.Helper()
	r, err := l.Get(k.Context(), ledger.ID{Namespace: "n", Key: key})
	must(k.T, err)
	if r.Current.State != want {
		k.Errorf("key %s: got state %q, want %q", key, r.Current.State, want)
	}
	return r.Current
}

// kept returns the number of outcomes that a host keeps.
func (k *unsentKit) kept(host string) int {
	k.Helper()
	files, err := filepath.Glob(filepath.Join(k.hosts[host], "idem/shared/*/pending/*"))
	must(k.T, err)
	return len(files)
}

func (k *unsentKit) sync(l *Ledger, sent, left int) {
	k.Helper()
	gotSent, gotLeft, err := l.deliver(k.Context())
	if gotSent != sent || gotLeft != left || left == 0 && err != nil {
		k.Errorf("got %d sent, %d left, %v; want %d and %d", gotSent, gotLeft, err, sent, left)
	}
}

var finalSuccess = ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit, Final: true}

// TestOutcomeIsKeptUntilTheServerAnswers: the key is neither free nor unknown for its own host.
func TestOutcomeIsKeptUntilTheServerAnswers(t *testing.T) {
	k := newUnsentKit(t)
	l := k.host()
	c, x := k.begin(l, "k")
	x.Write(ledger.Stdout, []byte("hello"))
	o := finalSuccess
	o.Files = []ledger.File{{Name: "f\xff", Content: []byte("line\n")}}
	path := k.unsent(c, x, o)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v", info.Mode())
	}
	if _, err := k.impatient().Claim(t.Context(), c.id); !errors.Is(err, ledger.ErrUnreachable) {
		t.Errorf("Claim without a server: got error %v", err)
	}
	k.expire("k")
	k.state(k.open("b"), "k", ledger.Running) // interrupted
	k.mend()
	a := k.state(k.host(), "k", ledger.Succeeded) // Get sends it
	if a.Ended.Before(a.Started) || k.kept("a") != 0 {
		t.Errorf("got %+v, and %d kept outcomes", a, k.kept("a"))
	}
	b := k.open("b")
	out, err := b.Output(t.Context(), c.id, a.RunID)
	must(t, err)
	chunk, err := out.Next()
	must(t, err)
	files, err := b.Files(t.Context(), c.id, a.RunID)
	must(t, err)
	if string(chunk.Bytes) != "hello" || len(files) != 1 || files[0].Name != "f\xff" {
		t.Errorf("got output %q and files %+v", chunk.Bytes, files)
	}
}

// TestClaimSendsKeptOutcomes: the one of its key, and those of other keys.
func TestClaimSendsKeptOutcomes(t *testing.T) {
	k := newUnsentKit(t)
	l := k.host()
	one, x := k.begin(l, "one")
	two, y := k.begin(l, "two")
	k.unsent(one, x, exited)
	k.unsent(two, y, ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 3})
	k.mend()
	c := k.claim(k.host(), "one")
	if r, err := c.Record(t.Context()); err != nil || r.Current.State != ledger.Succeeded {
		t.Errorf("under the claim: %+v, %v", r.Current, err)
	}
	must(t, c.Release())
	if a := k.state(k.open("b"), "two", ledger.Failed); a.ExitCode != 3 || k.kept("a") != 0 {
		t.Errorf("got %+v", a)
	}
	must(t, k.claim(k.open("b"), "two").Release()) // it was given back
}

// TestAnswerToFinishIsLost: the outcome is kept, then found at the server, and no longer kept.
func TestAnswerToFinishIsLost(t *testing.T) {
	k := newUnsentKit(t)
	k.o.FinishTimeout = time.Minute
	l := k.host()
	c, x := k.begin(l, "k")
	reached := k.p.Hold(proxy.ToClient, func(_ byte, body []byte) bool { return bytes.Contains(body, []byte("o.exit_code")) })
	done := make(chan error, 1)
	go func() { _, err := x.Finish(t.Context(), finalSuccess); done <- err }()
	<-reached
	eventually(t, func() bool {
		return k.server.Query(t, "select state from "+k.schema+".record") == "succeeded"
	})
	k.p.Reset()
	must(t, <-done)
	if k.kept("a") != 0 {
		t.Error("the outcome is still kept")
	}
	must(t, c.Release())
	must(t, k.claim(k.open("b"), "k").Release())
}

// TestKilledBetweenCommitAndRemoval: an outcome that the server has is sent once more.
func TestKilledBetweenCommitAndRemoval(t *testing.T) {
	k := newUnsentKit(t)
	l := k.host()
	c, x := k.begin(l, "k")
	e := x.(*execution)
	u := e.newUnsent(finalSuccess)
	u.output(ledger.Attempt{}, 0, output{storage: storageNone}, nil)
	u.keep()
	k.sync(l, 0, 1) // its process is alive
	_, err := u.send(t.Context(), time.Second)
	must(t, err)
	must(t, u.file.Close())
	k.gone(c)
	k.run(k.open("b"), "k", ledger.Failed) // the attempt is an earlier one now
	k.sync(k.host(), 1, 0)
	late, err := l.Late(t.Context(), c.id)
	if err != nil || len(late) != 0 {
		t.Errorf("got late outcomes %+v, %v", late, err)
	}
}

func (k *unsentKit) run(l *Ledger, key string, s ledger.State) {
	k.Helper()
	c, x := k.begin(l, key)
	_, err := x.Finish(k.Context(), ledger.Outcome{State: s, Reason: ledger.ReasonExit})
	must(k.T, err)
	must(k.T, c.Release())
}

// TestKeptOutcomeOfAKeyThatWasTakenOver is late, and changes nothing.
func TestKeptOutcomeOfAKeyThatWasTakenOver(t *testing.T) {
	k := newUnsentKit(t)
	c, x := k.begin(k.host(), "k")
	k.unsent(c, x, ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonSignal, ExitCode: 143, Signal: 15})
	k.expire("k")
	b := k.open("b")
	k.run(b, "k", ledger.Succeeded)
	k.mend()
	other := k.server.URL(pgtest.CI, pgtest.Database, k.schema) // of the same ledger
	sent, left, err := Sync(t.Context(), other, ConnectOptions{LocalBase: filepath.Join(k.hosts["a"], "idem")})
	if sent != 1 || left != 0 || err != nil {
		t.Errorf("Sync: got %d sent, %d left, %v", sent, left, err)
	}
	k.sync(k.host(), 0, 0)
	k.state(b, "k", ledger.Succeeded)
	late, err := b.Late(t.Context(), c.id)
	if err != nil || len(late) != 1 || late[0].RunID != x.Attempt().RunID || late[0].ExitCode != 143 || late[0].Owner.Host == "" {
		t.Errorf("got late outcomes %+v, %v", late, err)
	}
}

// TestFinishAfterATakeover reports it and leaves a late outcome.
func TestFinishAfterATakeover(t *testing.T) {
	k := newUnsentKit(t)
	l := k.host()
	c, x := k.begin(l, "k")
	k.expire("k")
	k.run(k.open("b"), "k", ledger.Failed)
	if _, err := x.Finish(t.Context(), finalSuccess); !errors.Is(err, ledger.ErrLost) {
		t.Errorf("got error %v, want %v", err, ledger.ErrLost)
	}
	late, err := l.Late(t.Context(), c.id)
	if err != nil || len(late) != 1 || late[0].State != ledger.Succeeded || k.kept("a") != 0 {
		t.Errorf("got late outcomes %+v, %v", late, err)
	}
	k.state(l, "k", ledger.Failed)
}

// TestLargeOutputIsKept: it stays in its file until it is sent with the outcome.
func TestLargeOutputIsKept(t *testing.T) {
	k := newUnsentKit(t)
	k.o.FinishTimeout = 10 * time.Second // also for the pieces that are sent while the command runs
	c, x := k.begin(k.host(), "k")
	want := bytes.Repeat([]byte("0123456789abcde\n"), 100<<10)
	for piece := range slices.Chunk(want, 32<<10) {
		x.Write(ledger.Stdout, piece)
	}
	k.unsent(c, x, finalSuccess)
	k.mend()
	k.sync(k.host(), 1, 0)
	out, err := k.open("b").Output(t.Context(), c.id, x.Attempt().RunID)
	must(t, err)
	defer out.Close()
	var got []byte
	for {
		chunk, err := out.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		got = append(got, chunk.Bytes...)
	}
	if a := k.state(k.host(), "k", ledger.Succeeded); !bytes.Equal(got, want) || a.Truncated {
		t.Errorf("got %d bytes of %d, truncated: %t", len(got), len(want), a.Truncated)
	}
	if files, _ := filepath.Glob(filepath.Join(k.hosts["a"], "idem/shared/*/output/*")); len(files) != 0 {
		t.Errorf("files are left: %v", files)
	}
}

// TestOutcomeThatAnotherProcessSends is waited for, not sent twice and not ignored.
func TestOutcomeThatAnotherProcessSends(t *testing.T) {
	k := newUnsentKit(t)
	c, x := k.begin(k.host(), "k")
	path := k.unsent(c, x, finalSuccess)
	k.mend()
	l := k.host()
	f, _, err := c.here.openPending(filepath.Base(path))
	must(t, err)
	k.sync(l, 0, 1)
	if _, err := k.impatient().Claim(t.Context(), c.id); !errors.Is(err, ledger.ErrUnreachable) {
		t.Errorf("Claim: got error %v", err)
	}
	must(t, f.Close())
	k.state(l, "k", ledger.Succeeded)
	// Deliverers at the same time do no harm.
	c, x = k.begin(l, "other")
	k.unsent(c, x, finalSuccess)
	k.mend()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { _, _, _ = k.host().deliver(t.Context()) })
	}
	all.Wait()
	k.state(k.open("b"), "other", ledger.Succeeded)
	if late, err := l.Late(t.Context(), c.id); err != nil || len(late) != 0 || k.kept("a") != 0 {
		t.Errorf("late: %+v, %v; kept: %d", late, err, k.kept("a"))
	}
}

// TestDamagedOutcome is never sent, and its key is not run.
func TestDamagedOutcome(t *testing.T) {
	k := newUnsentKit(t)
	c, x := k.begin(k.host(), "k")
	path := k.unsent(c, x, finalSuccess)
	k.mend()
	content, err := os.ReadFile(path)
	must(t, err)
	if bytes.Contains(content, []byte(pgtest.Password)) {
		t.Error("the file has the password")
	}
	for _, damaged := range [][]byte{nil, content[:len(content)/2], bytes.Replace(content, []byte(`"ExitCode":0`), []byte(`"ExitCode":1`), 1), []byte("idem outcome 2 x\n{}")} {
		must(t, os.WriteFile(path, damaged, 0o600))
		_, err := k.host().Claim(t.Context(), c.id)
		if !errors.Is(err, ledger.ErrCorrupt) && !errors.Is(err, ledger.ErrVersion) || !strings.Contains(err.Error(), filepath.Base(path)) {
			t.Errorf("%.30q: got error %v", damaged, err)
		}
	}
	must(t, os.WriteFile(path, content, 0o600))
	k.state(k.host(), "k", ledger.Succeeded)
}

// TestOutcomeThatCannotBeKept is lost in the end, which is said.
func TestOutcomeThatCannotBeKept(t *testing.T) {
	k := newUnsentKit(t)
	c, x := k.begin(k.host(), "k")
	dir := c.here.dir.File(pendingDir)
	c.ledger.opt.FinishTimeout = time.Second
	must(t, os.Remove(dir))
	must(t, os.WriteFile(dir, nil, 0o600))
	k.cut()
	_, err := x.Finish(t.Context(), finalSuccess)
	var unsent *ledger.UnsentError
	if !errors.As(err, &unsent) || unsent.Path != "" || !strings.Contains(err.Error(), "could not be kept") || len(*k.warn) != 1 {
		t.Errorf("got error %v and warnings %q", err, *k.warn)
	}
	k.mend()
}

// TestCommitThatWaitsForAStandbyIsNotCancelled: a cancelled one would be visible and not replicated.
func TestCommitThatWaitsForAStandbyIsNotCancelled(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgtest.Options{})
	schema := s.NewSchema(t)
	must(t, initialize(t.Context(), s.URL(pgtest.Owner, pgtest.Database, schema), InitOptions{Grant: []string{pgtest.CI}}))
	k := &unsentKit{mutexKit: &mutexKit{T: t, server: s, schema: schema, hosts: map[string]string{}}, place: s.URL(pgtest.CI, pgtest.Database, schema)}
	k.o = Options{ConnectTimeout: time.Second, FinishTimeout: time.Second}
	r := s.Standby(t, pgtest.StandbyOptions{Sync: true})
	l := k.host()
	c, x := k.begin(l, "k")
	r.StopReceiver(t)
	_, err := x.Finish(t.Context(), finalSuccess)
	if !errors.As(err, new(*ledger.UnsentError)) {
		t.Fatalf("got error %v", err)
	}
	k.gone(c)
	if got := s.Query(t, "select count(*) > 0 from pg_stat_activity where wait_event = 'SyncRep'"); got != "t" {
		t.Error("the commit was cancelled")
	}
	s.Unsync(t)
	k.sync(k.host(), 1, 0)
	k.state(l, "k", ledger.Succeeded)
}
