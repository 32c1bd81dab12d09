package postgres

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/pgtest/proxy"
)

// Scripts whose last process lives for some seconds and has written its process ID to $D/pid.
const (
	writePID = `echo $BASHPID > $D/p; mv $D/p $D/pid; `
	closeAll = `for f in /proc/$BASHPID/fd/*; do n=${f##*/}; [ $n -le 2 ] || eval "exec $n>&-"; done 2>/dev/null; `
)

// work outlives a lease of two seconds.
const work = "sleep 5; echo 0 >$D/done"

// scripts are ways in which a command can make it hard to find or to end its processes. %s is
// what its last process does.
var scripts = map[string]string{
	"plain":        writePID + "%s",
	"ignores TERM": "trap '' TERM; " + writePID + "%s",
	"forks twice":  "(setsid bash -c '" + writePID + "%s' &) ; sleep 60",
	"closes all":   closeAll + writePID + "%s",
	// As sudo does. The shell is the only one that can be seen.
	"child clears":  "bash -c '" + strings.ReplaceAll(closeAll, "'", `'"'"'`) + `exec env -i D=$D PATH=$PATH bash -c "` + strings.ReplaceAll(writePID, "$", `\$`) + `%s"'; sleep 60`,
	"forks, closes": "trap '' TERM; setsid bash -c '" + strings.ReplaceAll(closeAll, "'", `'"'"'`) + writePID + "%s' & sleep 60",
}

// Idem is killed. The command outlives the lease, and the key is busy until its end. Then it is
// interrupted.
func TestKeeperFollowsTheCommand(t *testing.T) {
	t.Parallel()
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.start(job{Lease: 2 * time.Second, Script: strings.Replace(strings.ReplaceAll(script, "sleep 60", "sleep 3"), "%s", work, 1)})
			pid := b.written("pid")
			b.kill(b.idem.Process.Pid, unix.SIGKILL)
			if rec := b.elsewhere(b.alive(pid)); rec.Phase() != ledger.PhaseInterrupted || rec.Current.RunID != b.run {
				t.Fatalf("found %+v", rec)
			}
			b.written("done")
			b.goes("the keeper", b.keeper)
		})
	}
}

// The key is free as soon as the command has ended, not when the lease ends.
func TestKeeperGivesTheClaimBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(job{Lease: time.Hour, Script: fmt.Sprintf(scripts["plain"], "sleep 1")})
	pid := b.written("pid")
	b.kill(b.idem.Process.Pid, unix.SIGKILL)
	if rec := b.elsewhere(b.alive(pid)); rec.Phase() != ledger.PhaseInterrupted {
		t.Fatalf("found %+v", rec)
	}
	b.goes("the keeper", b.keeper)
}

// A command that was ended leaves a process behind. Idem is gone, and the keeper has its claim.
func TestKeeperTakesLeftovers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(job{Lease: 2 * time.Second, Script: fmt.Sprintf("(setsid bash -c '"+writePID+"%s' &) ; sleep 0.2; kill -9 $$", work)})
	pid := b.written("pid")
	if end := b.line("released "); end != "<nil>" {
		t.Fatal(end)
	}
	if rec := b.elsewhere(func() bool { return lives(pid) }); rec.Current.Reason != ledger.ReasonSignal {
		t.Fatalf("found %+v", rec)
	}
	b.written("done")
	b.goes("the keeper", b.keeper)
}

// The server cannot be reached. Idem, the keeper or both end the command before the lease ends. The margin of the lease is
// a real time, so these tests run without those that need a processor.
func TestLeaseEndsTheCommand(t *testing.T) {
	for name, script := range scripts {
		for _, who := range []string{"idem", "keeper", "both"} {
			t.Run(name+"/"+who, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				p, err := proxy.Listen("tcp", "127.0.0.1:0", b.server.TCPAddr())
				must(t, err)
				t.Cleanup(func() { _ = p.Close() })
				place := pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, b.schema, "sslmode=disable")
				// A busy host must end the command in the margin of the lease. If a child clears its
				// environment, idem must have recorded the outcome before KILL is due.
				const lease = 12 * time.Second
				b.start(job{Place: place, Lease: lease, Script: strings.Replace(script, "%s", "while :; do sleep 1; done", 1)})
				pid := b.written("pid")
				switch who {
				case "idem":
					b.kill(b.keeper, unix.SIGKILL)
				case "keeper":
					b.kill(b.idem.Process.Pid, unix.SIGKILL)
				}
				p.Cut(proxy.Both)
				b.leaseEnds()
				if b.alive(pid)() {
					t.Fatal("the command outlives its lease")
				}
				if who == "keeper" {
					b.goes("the keeper", b.keeper)
				}
			})
		}
	}
}

// Idem is stopped for longer than its lease.
func TestKeeperEndsTheCommandOfStoppedIdem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(job{Lease: 8 * time.Second, Script: fmt.Sprintf(scripts["ignores TERM"], "while :; do sleep 1; done")})
	pid := b.written("pid")
	b.kill(b.idem.Process.Pid, unix.SIGSTOP)
	rec := b.elsewhere(b.alive(pid))
	if rec.Phase() != ledger.PhaseInterrupted {
		t.Fatalf("found %+v", rec)
	}
	b.kill(b.idem.Process.Pid, unix.SIGCONT)
	b.line("released ")
	b.goes("the keeper", b.keeper)
}

// The locks of a command have vanished, with the directory of its host. The keeper does not hold the key for ever.
func TestKeeperWithoutLocks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(job{Lease: 2 * time.Second, Script: fmt.Sprintf(scripts["plain"], "sleep 60")})
	pid := b.written("pid")
	b.kill(b.idem.Process.Pid, unix.SIGKILL)
	must(t, os.RemoveAll(filepath.Join(b.dir, "idem")))
	b.kill(pid, unix.SIGKILL)
	if rec := b.elsewhere(b.alive(pid)); rec.Phase() != ledger.PhaseInterrupted {
		t.Fatalf("found %+v", rec)
	}
	b.goes("the keeper", b.keeper)
}

// Nothing is left that could renew the lease or end the command.
func TestIdemAndKeeperKilled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(job{Lease: 2 * time.Second, Script: fmt.Sprintf(scripts["plain"], "sleep 60")})
	pid := b.written("pid")
	b.kill(b.keeper, unix.SIGKILL)
	b.kill(b.idem.Process.Pid, unix.SIGKILL)
	if rec := b.elsewhere(func() bool { return false }); rec.Phase() != ledger.PhaseInterrupted || !lives(pid) {
		t.Fatalf("found %+v", rec)
	}
	l, err := Open(b.place, Options{LocalBase: filepath.Join(b.dir, "idem")})
	must(t, err)
	defer l.Close()
	if _, err := l.Claim(t.Context(), theKey); err == nil {
		t.Fatal("the key is free on the host of its command")
	}
}

// With Keep, the command goes on without the ledger, and the key stays held.
func TestKeepLetsTheCommandGoOn(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"idem", "keeper"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			p, err := proxy.Listen("tcp", "127.0.0.1:0", b.server.TCPAddr())
			must(t, err)
			t.Cleanup(func() { _ = p.Close() })
			place := pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, b.schema, "sslmode=disable")
			b.start(job{Place: place, Lease: 2 * time.Second, Keep: true, Script: fmt.Sprintf(scripts["plain"], "sleep 60")})
			pid := b.written("pid")
			if who == "keeper" {
				b.kill(b.idem.Process.Pid, unix.SIGKILL)
			}
			p.Cut(proxy.Both)
			b.leaseEnds()
			time.Sleep(time.Second)
			if !lives(pid) {
				t.Fatal("the command was ended")
			}
			p.Heal()
			b.eventually("the lease is renewed again", func() bool {
				return b.server.Query(b, "select lease_until > clock_timestamp() from "+b.schema+".record") == "t"
			})
		})
	}
}

// A user is told that the ledger does not answer.
func TestSilentLedgerIsReported(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p, err := proxy.Listen("tcp", "127.0.0.1:0", b.server.TCPAddr())
	must(t, err)
	defer p.Close()
	place := pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, b.schema, "sslmode=disable")
	b.start(job{Place: place, Lease: 6 * time.Second, Script: "sleep 60"})
	p.Cut(proxy.Both)
	if text := b.line("warning: "); !strings.HasPrefix(text, "the ledger has not answered for 2s; the command is ended at ") {
		t.Fatal(text)
	}
	b.line("lost")
}

// The keeper shows no secret to other processes, keeps nothing open, and has its own session.
func TestKeeperIsDiscreet(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	host, port, err := net.SplitHostPort(b.server.TCPAddr().String())
	must(t, err)
	place := "postgres://" + pgtest.CI + ":S3CR3T@" + net.JoinHostPort(host, port) + "/" + pgtest.Database + "?sslmode=disable&schema=" + b.schema
	b.start(job{Place: place, Lease: time.Minute, Script: fmt.Sprintf(scripts["plain"], "sleep 60")}, "PGPASSWORD=S3CR3T", ledger.ChainVar+"="+"x", ledger.RunIDVar+"=y")
	b.written("pid")
	proc := "/proc/" + strconv.Itoa(b.keeper)
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(filepath.Join(proc, name))
		must(t, err)
		if bytes.Contains(text, []byte("S3CR3T")) || bytes.Contains(text, []byte("IDEM_")) {
			t.Errorf("%s: %q", name, text)
		}
	}
	sid, err := unix.Getsid(b.keeper)
	must(t, err)
	cwd, err := os.Readlink(proc + "/cwd")
	must(t, err)
	if sid != b.keeper || cwd != "/" {
		t.Errorf("session %d, directory %s", sid, cwd)
	}
	b.eventually("only its own descriptors", func() bool {
		fds, err := os.ReadDir(proc + "/fd")
		must(t, err)
		for _, fd := range fds {
			to, _ := os.Readlink(filepath.Join(proc, "fd", fd.Name()))
			if strings.HasPrefix(to, "pipe:") || strings.Contains(to, "/locks") {
				t.Log(fd.Name(), to)
				return false
			}
		}
		return true
	})
	b.eventually("its name, which it takes after it has settled its signals", func() bool {
		name, err := os.ReadFile(proc + "/comm")
		return err == nil && strings.TrimSpace(string(name)) == "idem-keeper"
	})
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT} {
		b.kill(b.keeper, sig)
	}
	if !lives(b.keeper) {
		t.Error("the keeper has died")
	}
	b.kill(b.idem.Process.Pid, unix.SIGTERM)
	b.line("released ")
	b.goes("the keeper", b.keeper)
}

// Arguments that a user types start no keeper.
func TestKeeperIsNotForPeople(t *testing.T) {
	if _, asked := Keeper(KeeperArgs[1:]); asked {
		t.Error("a keeper without a connection")
	}
}

// A program that could not be its own keeper starts no copy of itself, and no command.
func TestKeeperNeedsAProgramThatServes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l, err := Open(b.place, Options{LocalBase: filepath.Join(b.dir, "idem"), Keeper: KeeperArgs})
	must(t, err)
	defer l.Close()
	c, err := l.Claim(t.Context(), theKey)
	must(t, err)
	serves.Store(false)
	t.Cleanup(func() { serves.Store(true) })
	if _, err := c.Begin(t.Context(), ledger.Start{RunID: uuid.NewString()}); err == nil {
		t.Error("an attempt has begun without a keeper")
	}
	must(t, c.Release())
	if rec, err := l.Get(t.Context(), theKey); err != nil || rec.Phase() != ledger.PhaseNone {
		t.Errorf("found %+v, %v", rec, err)
	}
}
