package postgres

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/pgtest"
	"idem/proc"
)

var theKey = ledger.ID{Namespace: "n", Key: "k"}

// job is a call of the helper idem.
type job struct {
	Place, Base string
	Lease       time.Duration
	Keep        bool
	NoKeeper    bool
	ClaimOnly   bool // nothing is begun
	Mutex       bool // the mutex of oneM, for which idem waits for ever
	Script      string
	Orphans     bool // only the shell is killed, and the attempt ends with a signal
}

// helperIdem is the least that idem does around a command. It prints its steps.
func helperIdem() int {
	var j job
	must0(json.Unmarshal([]byte(os.Getenv("JOB")), &j))
	o := Options{
		Lease: j.Lease, LocalBase: j.Base, Keep: j.Keep, Keeper: KeeperArgs, FinishTimeout: time.Second,
		Warn: func(s string) { fmt.Println("warning:", s) },
	}
	if j.NoKeeper {
		o.Keeper = nil
	}
	l, err := Open(j.Place, o)
	must0(err)
	ctx := context.Background()
	c, err := l.Claim(ctx, theKey)
	must0(err)
	if j.ClaimOnly {
		fmt.Println("claimed")
		select {}
	}
	run := uuid.NewString()
	start := ledger.Start{RunID: run, Owner: ledger.Owner{PID: os.Getpid()}}
	if j.Mutex {
		start.Mutexes = oneM
	}
	x, err := c.Begin(ctx, start)
	if errors.As(err, new(*ledger.MutexError)) {
		fmt.Println("waits")
		select {}
	}
	must0(err)
	fmt.Println("begun", run)
	s := proc.Catch()
	defer s.Stop()
	ctx, cancel := context.WithCancel(ctx)
	go func() { <-c.Lost(); fmt.Println("lost"); cancel() }()
	cmd := proc.Command{
		Path: "/bin/bash", Args: []string{"bash", "-c", j.Script}, Env: append(os.Environ(), ledger.RunIDVar+"="+run),
		Inherit: x.(ledger.Inheriting).Descriptors(), Stdin: os.Stdin, KillAfter: l.opt.KillAfter,
	}
	end, err := cmd.Run(ctx, s)
	must0(err)
	o2 := ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: end.ExitCode, Signal: int(end.Signal), Final: true}
	if end.Signal != 0 {
		o2.Reason = ledger.ReasonSignal
	}
	_, err = x.Finish(context.Background(), o2)
	fmt.Println("finished", err)
	fmt.Println("released", c.Release())
	must0(l.Close())
	return 0
}

func must0(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// bench is a ledger and a host that runs one job.
type bench struct {
	testing.TB
	server *pgtest.Server
	schema string
	place  string
	dir    string // of the job
	idem   *exec.Cmd
	lines  *bufio.Scanner
	keeper int
	run    string
}

func newBench(t testing.TB) *bench {
	t.Helper()
	s := pgtest.Shared(t)
	b := &bench{TB: t, server: s, schema: s.NewSchema(t), dir: t.TempDir()}
	must(t, os.Chmod(b.dir, 0o700))
	_, err := Init(t.Context(), s.URL(pgtest.Owner, pgtest.Database, b.schema), InitOptions{Grant: []string{pgtest.CI}})
	must(t, err)
	b.place = s.URL(pgtest.CI, pgtest.Database, b.schema)
	return b
}

// start starts idem with a job, and waits until its command can run. env is added to the
// environment. Each script finds a directory for its files in $D.
func (b *bench) start(j job, env ...string) {
	b.Helper()
	b.launch(j, env...)
	b.run = b.line("begun ")
	if !j.NoKeeper {
		b.keeper = b.childNamed("idem-postgres")
	}
}

// launch starts idem with a job.
func (b *bench) launch(j job, env ...string) {
	b.Helper()
	if j.Place == "" {
		j.Place = b.place
	}
	j.Base = filepath.Join(b.dir, "idem")
	text, err := json.Marshal(j)
	must(b, err)
	b.idem = exec.Command("/proc/self/exe")
	b.idem.Env = append(os.Environ(), append(env, "POSTGRES_HELPER=idem", "JOB="+string(text), "D="+b.dir)...)
	out, err := b.idem.StdoutPipe()
	must(b, err)
	b.idem.Stderr = os.Stderr
	must(b, b.idem.Start())
	b.Cleanup(b.end)
	b.lines = bufio.NewScanner(out)
}

func (b *bench) end() {
	_ = b.idem.Process.Kill()
	for _, pid := range append(filelock.MembersOf(b.run), b.keeper) {
		if pid > 0 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	_ = b.idem.Wait()
}

// line returns what follows prefix in the next line of idem that has it.
func (b *bench) line(prefix string) string {
	b.Helper()
	for b.lines.Scan() {
		if text, ok := strings.CutPrefix(b.lines.Text(), prefix); ok {
			return text
		}
		b.Log(b.lines.Text())
	}
	b.Fatalf("idem has ended without %q", prefix)
	return ""
}

// childNamed returns the child of idem with the first argument.
func (b *bench) childNamed(arg string) int {
	b.Helper()
	if pid := b.child(arg); pid > 0 {
		return pid
	}
	for b.lines.Scan() {
		b.Log(b.lines.Text())
	}
	b.Fatalf("idem has no child %s", arg)
	return 0
}

// child is childNamed that returns 0 if there is none.
func (b *bench) child(arg string) int {
	pids, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range pids {
		text, _ := os.ReadFile(stat)
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != strconv.Itoa(b.idem.Process.Pid) {
			continue
		}
		args, _ := os.ReadFile(filepath.Join(filepath.Dir(stat), "cmdline"))
		if strings.HasPrefix(string(args), arg+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			return pid
		}
	}
	return 0
}

// kill sends a signal.
func (b *bench) kill(pid int, sig unix.Signal) {
	b.Helper()
	must(b, unix.Kill(pid, sig))
	if pid == b.idem.Process.Pid && sig == unix.SIGKILL {
		_ = b.idem.Wait()
	}
}

// written waits for a file of the script, and returns the process ID in it.
func (b *bench) written(name string) int {
	b.Helper()
	var pid int
	b.eventually("file "+name, func() bool {
		text, err := os.ReadFile(filepath.Join(b.dir, name))
		if err != nil || !strings.HasSuffix(string(text), "\n") {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	return pid
}

func (b *bench) eventually(what string, is func() bool) {
	b.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("not within 30s: %s", what)
		}
	}
}

// lives reports whether a process exists and has not ended.
func lives(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, _ := strings.Cut(string(text), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// elsewhere waits until another host finds the key free or interrupted, and returns the record.
// It only reads: a claim would find the processes on this machine. alive says whether the command
// lives. Before its end, the key must be busy.
func (b *bench) elsewhere(alive func() bool) ledger.Record {
	b.Helper()
	l, err := Open(b.place, Options{LocalBase: filepath.Join(b.TempDir(), "idem")})
	must(b, err)
	defer l.Close()
	var rec ledger.Record
	b.eventually("the key is free elsewhere", func() bool {
		rec, err = l.Get(b.Context(), theKey)
		must(b, err)
		if !rec.Alive && alive() {
			b.Fatal("the key is free while its command lives")
		}
		return !rec.Alive
	})
	return rec
}

// leaseEnds waits until the lease in the row has ended or was given back.
func (b *bench) leaseEnds() {
	b.Helper()
	b.eventually("end of the lease", func() bool {
		return b.server.Query(b, "select holder is null or lease_until < clock_timestamp() from "+b.schema+".record") == "t"
	})
}

// alive returns a function that reports whether a process of the scripts lives.
func (b *bench) alive(pids ...int) func() bool {
	return func() bool { return slices.ContainsFunc(pids, lives) || len(filelock.MembersOf(b.run)) > 0 }
}

// goes waits for the end of a process.
func (b *bench) goes(what string, pid int) {
	b.Helper()
	b.eventually("end of "+what, func() bool { return !lives(pid) })
}
