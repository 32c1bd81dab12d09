package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// The rows of the race of large outputs, next to idem.
const shellTeed, shellCatted = "sh -c 'command | tee FILE'", "cat FILE, which tee wrote"

// largeWork is a large output in a second arrangement. In the first one, the race of 100 MiB,
// bench itself reads, and the command of cat's file wrote it with 64 KiB for each write. Here
// helper read reads, and tee wrote the file in a shell's pipeline.
//
// The ratios of the two differ, although the time of idem does not: cat's time depends on the
// arrangement. Through the usual pipe of 64 KiB, cat and its reader wait for each other 1,600
// times. How long that takes depends on the reader:
//
//   - The threads of a reader in Go take part in each wait. cat takes up to twice as long, and
//     its time differs from round to round.
//   - On an AMD Zen 3, the kernel copies a page five times as slowly to an address that is up
//     to 28 bytes behind the page's own offset. malloc returns large buffers 16 bytes behind
//     the beginning of a page. For such a reader, cat takes twice as long.
//
// Also, tee writes 8 KiB at once. The kernel keeps such a file in small parts, and to read them
// takes 1.6 times as long as after writes of 64 KiB.
//
// idem makes the pipe larger, so it waits seldom, and its bytes begin elsewhere in a page.
func (b *bench) largeWork() work {
	w := work{name: "100 MiB, a small reader", bytes: 100 << 20, rounds: 15}
	if b.quick {
		w.rounds = 2
	}
	return w
}

// largeContenders returns the programs of the race. The output of each is read by helper read,
// which also compares its length.
func (b *bench) largeContenders() []*contender {
	read := func(j *job, argv ...string) call {
		argv = append([]string{b.downloads.helper, "read", strconv.FormatInt(j.work.bytes, 10)}, argv...)
		return call{argv: argv, dir: j.dir, env: j.env}
	}
	teeInto := func(j *job, file string) call {
		return read(j, "/bin/sh", "-c", join(j.command)+` | "$0" "$1"`, j.program, file)
	}
	run := func(j *job, n int) call {
		c := j.call("run", "--max-output", "unlimited", "--key", idemKey(n), "--")
		return read(j, c.argv...)
	}
	coreutils := func(program string) func(*downloads) (string, error) {
		return func(s *downloads) (string, error) { return s.debian(program, "coreutils") }
	}
	all := []*contender{
		{
			name: shellTeed, what: "keeps the output", find: coreutils("tee"),
			first: func(j *job, n int) call { return teeInto(j, j.file(strconv.Itoa(n))) },
			after: func(j *job, n int) error { return os.Remove(j.file(strconv.Itoa(n))) },
		},
		{
			name: shellCatted, what: "writes what was kept", find: coreutils("cat"),
			setup: func(j *job) error {
				tee, err := b.downloads.debian("tee", "coreutils")
				if err != nil {
					return err
				}
				t := *j
				t.program = tee
				return runUnmeasured(teeInto(&t, j.file("kept")))
			},
			again: func(j *job) call { return read(j, j.program, j.file("kept")) },
		},
	}
	for _, a := range b.ages() {
		all = append(all, &contender{
			name: a.row(idem), what: "once per key, durable, with its output", find: func(*downloads) (string, error) { return b.program(a), nil },
			setup: func(j *job) error { return runUnmeasured(run(j, 0)) },
			first: run,
			again: func(j *job) call { return run(j, 0) },
			after: func(j *job, n int) error { return runUnmeasured(j.alone("forget", idemKey(n))) },
		})
	}
	return all
}

// measureLarge runs the race of large outputs.
func (b *bench) measureLarge() error {
	w := b.largeWork()
	b.progress("%s, %d rounds", w.name, w.rounds)
	racers, err := b.largeRacers(w)
	if err != nil {
		return err
	}
	h, err := b.raceOf(w, racers, race{Work: w.name, First: shellTeed, Again: shellCatted}, shellTeed, shellCatted)
	if err != nil {
		return err
	}
	b.results[w.name] = h
	for _, r := range racers {
		reference := h.samples(shellTeed, first)
		if r.op == replay {
			reference = h.samples(shellCatted, replay)
		}
		f := figureOf(r.samples, h.keep)
		f.Work, f.Op, f.Ratio = w.name+", "+r.op, r.op, ratio(r.samples, reference, h.keep)
		b.addBatch(r.contender, f)
	}
	return os.RemoveAll(filepath.Join(b.dir, file(w.name)))
}

// largeRacers prepares the programs that are installed.
func (b *bench) largeRacers(w work) (all []*racer, err error) {
	for _, c := range b.largeContenders() {
		program, err := c.find(b.downloads)
		if err != nil {
			b.progress("%s: %v", c.name, err) // its demands are not known
			continue
		}
		j := &job{contender: c, work: w, program: program, dir: filepath.Join(b.dir, file(w.name), file(c.name))}
		j.command = []string{b.downloads.helper, "gen", strconv.FormatInt(w.bytes, 10)}
		j.env = append(b.env[:len(b.env):len(b.env)], "IDEM_LEDGER="+j.file("ledger"))
		if err := os.MkdirAll(j.dir, 0o700); err != nil {
			return nil, err
		}
		if c.setup != nil {
			if err := c.setup(j); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
		}
		add := func(op string) { // helper read writes nothing, so the racer has no bytes
			all = append(all, &racer{job: j, op: op, every: 1, samples: make([]sample, w.rounds)})
		}
		if c.first != nil {
			add(first)
		}
		if c.again != nil {
			add(replay)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there is no contender")
	}
	return all, nil
}

// largeDemands are the demands on large outputs in the second arrangement.
func (b *bench) largeDemands(a age) []demand {
	name, me := b.largeWork().name, a.row(idem)
	return []demand{
		atMost("first run of "+name+" / sh -c 'command | tee FILE'", 1, b.ratio(name, me, first, shellTeed, first)).aim(0.7),
		atMost("replay of "+name+" / cat FILE", 0.5, b.ratio(name, me, replay, shellCatted, replay)).aim(0.15),
	}
}
