package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// contender is a row of the table: a program that runs a command. Some contenders
// remember that the command has run.
type contender struct {
	name, what string
	// find returns the path of the program, or an error that says why it is missing.
	find func(*downloads) (string, error)
	// setup prepares the job's directory. It may be nil.
	setup func(*job) error
	// first returns the call with the number n, in which the command has to run. It is
	// nil for a contender that is measured only in replays.
	first func(j *job, n int) call
	// again returns the call that repeats first with n = 0. It is nil for a contender
	// that remembers nothing.
	again func(j *job) call
	// after removes the files of the call with the number n. It may be nil.
	after func(j *job, n int) error
	// suits reports whether the contender takes part in a work. Nil means all works.
	suits func(work) bool
	// silent contenders do not replay the output.
	silent bool
	// framed contenders write additional lines around the output.
	framed bool
	// crowd contenders are light enough to be started many times at once.
	crowd bool
}

// work is a kind of command: it does nothing, or it writes a number of bytes.
type work struct {
	name   string
	bytes  int64
	rounds int
}

func withoutOutput(w work) bool { return w.bytes == 0 }
func withOutput(w work) bool    { return w.bytes > 0 }

// job is a contender at a work. Each job has its own directory.
type job struct {
	*contender
	work    work
	program string
	dir     string
	command []string // runs below the contender
	env     []string
	calls   int // so far
}

// next returns a new number for a call.
func (j *job) next() int {
	j.calls++
	return j.calls
}

func (j *job) file(name string) string { return filepath.Join(j.dir, name) }

func (j *job) write(name, content string) error {
	return os.WriteFile(j.file(name), []byte(content), 0o600)
}

// call returns the call of the program with arguments and then the command.
func (j *job) call(args ...string) call {
	argv := append([]string{j.program}, args...)
	return call{argv: append(argv, j.command...), dir: j.dir, env: j.env}
}

// alone returns the call of the program with arguments and no command.
func (j *job) alone(args ...string) call {
	return call{argv: append([]string{j.program}, args...), dir: j.dir, env: j.env}
}

// Names of the rows that the demands and references use.
const (
	bare, hello, spawned, flocked, teed, catted, idem = "bare command", "Go hello-world", "Go that starts it", "flock FILE", "| tee FILE", "cat FILE", "idem"
)

var contenders = []*contender{
	{
		name: bare, what: "the command itself", crowd: true,
		find:  func(*downloads) (string, error) { return "/", nil },
		first: func(j *job, _ int) call { return call{argv: j.command, dir: j.dir, env: j.env} },
	},
	{
		name: hello, what: "the least that a Go program can cost", suits: withoutOutput, crowd: true,
		find:  func(s *downloads) (string, error) { return s.hello, nil },
		first: func(j *job, _ int) call { return j.alone() },
	},
	{
		name: spawned, what: "the least that a Go program can cost that runs a command", suits: withoutOutput, crowd: true,
		find:  func(s *downloads) (string, error) { return s.helper, nil },
		first: func(j *job, _ int) call { return j.call("spawn") },
	},
	{
		name: teed, what: "keeps the output", suits: withOutput,
		find: func(s *downloads) (string, error) { return s.debian("tee", "coreutils") },
		first: func(j *job, n int) call {
			return call{argv: j.command, into: []string{j.program, j.file(strconv.Itoa(n))}, dir: j.dir, env: j.env}
		},
		after: func(j *job, n int) error { return os.Remove(j.file(strconv.Itoa(n))) },
	},
	{
		name: catted, what: "writes what was kept", suits: withOutput,
		find: func(s *downloads) (string, error) { return s.debian("cat", "coreutils") },
		setup: func(j *job) error {
			return runFile(j.command, j.file("kept"))
		},
		again: func(j *job) call { return j.alone(j.file("kept")) },
	},
	{
		name: flocked, what: "a lock, no memory", suits: withoutOutput, crowd: true,
		find:  func(s *downloads) (string, error) { return s.debian("flock", "util-linux") },
		first: func(j *job, _ int) call { return j.call(j.file("lock")) },
	},
	{
		name: "cronutils runlock", what: "a lock, no memory", suits: withoutOutput,
		find:  func(s *downloads) (string, error) { return s.debian("runlock", "cronutils") },
		first: func(j *job, _ int) call { return j.call("-f", j.file("lock")) },
	},
	{
		name: "moreutils chronic", what: "quiet unless it fails, no memory", suits: withoutOutput,
		find:  func(s *downloads) (string, error) { return s.debian("chronic", "moreutils") },
		first: func(j *job, _ int) call { return j.call() },
	},
	{
		name: "parallel --joblog --resume", what: "a log of what is done; keeps no output", silent: true,
		find: func(s *downloads) (string, error) { return s.debian("parallel", "parallel") },
		first: func(j *job, n int) call {
			c := j.call("--will-cite", "--resume", "--joblog", j.file(strconv.Itoa(n)))
			c.argv = append(c.argv, ":::", strconv.Itoa(n))
			return c
		},
		again: func(j *job) call { return j.first(j, 0) },
	},
	{
		name: "go-task, up to date", what: "checksums of sources; keeps no output", silent: true,
		find: func(s *downloads) (string, error) {
			return s.goInstall("github.com/go-task/task/v3/cmd/task", "v3.44.0")
		},
		setup: func(j *job) error {
			if err := j.write("source", ""); err != nil {
				return err
			}
			return j.write("Taskfile.yml", fmt.Sprintf("version: '3'\ntasks:\n  work:\n    sources: [source]\n    cmds: [%q]\n", join(j.command)))
		},
		first: func(j *job, n int) call {
			if n == 0 {
				return j.alone("--silent", "work")
			}
			return j.alone("--silent", "--force", "work")
		},
		again: func(j *job) call { return j.first(j, 0) },
	},
	{
		name: "turbo, cached", what: "a cache of outputs by inputs; runs npm for a command", framed: true,
		find: func(s *downloads) (string, error) { return s.npm("turbo", "2.11.11") },
		setup: func(j *job) error {
			j.env = append(j.env, "TURBO_TELEMETRY_DISABLED=1", "TURBO_GLOBAL_WARNING_DISABLED=1", "TURBO_NO_UPDATE_NOTIFIER=1")
			if err := j.write("package.json", fmt.Sprintf(`{"name":"bench","private":true,"packageManager":"npm@10.0.0","scripts":{"work":%q}}`, join(j.command))); err != nil {
				return err
			}
			return j.write("turbo.json", `{"tasks":{"work":{"inputs":["package.json"],"outputs":[]}}}`)
		},
		first: func(j *job, n int) call {
			c := j.again(j)
			if n > 0 {
				c.argv = append(c.argv, "--force")
			}
			return c
		},
		again: func(j *job) call {
			return j.alone("run", "work", "--log-prefix=none", "--cache-dir", j.file("cache"))
		},
	},
	{
		name: "cachecmd", what: "a cache of stdout; no lock, no sync, no check of a crash",
		find: func(s *downloads) (string, error) {
			return s.goInstall("github.com/haya14busa/cachecmd/cmd/cachecmd", "latest")
		},
		first: func(j *job, n int) call {
			return j.call("-ttl=24h", "-cache_dir", j.file("cache"), "-key", strconv.Itoa(n))
		},
		again: func(j *job) call { return j.first(j, 0) },
	},
	{
		name: idem, what: "once per key, durable, with its output", crowd: true,
		find: func(s *downloads) (string, error) { return s.idem, nil },
		setup: func(j *job) error {
			j.env = append(j.env, "IDEM_LEDGER="+j.file("ledger"))
			return nil
		},
		first: func(j *job, n int) call { return j.call("run", "--max-output", "unlimited", "--key", idemKey(n), "--") },
		again: func(j *job) call { return j.first(j, 0) },
		after: func(j *job, n int) error {
			// Small outputs stay: the disk has room for them, and the run after a
			// forget makes one fsync more.
			if j.work.bytes <= straced {
				return nil
			}
			return runUnmeasured(j.alone("forget", idemKey(n)))
		},
	},
}

func idemKey(n int) string { return "bench:" + strconv.Itoa(n) }
