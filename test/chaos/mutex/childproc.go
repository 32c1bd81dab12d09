package mutex

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
)

// commandFails is an exit status of Command.
const commandFails = 3

// firstOfIdem is the lowest descriptor that idem passes on.
const firstOfIdem = 277

// Command is the command: mutex-command JOURNAL LOCKS SEED MUTEXES. It logs its start, then
// takes locks for its key and its mutexes, and logs an overlap if one of them is held. SEED
// decides its work.
func Command(args []string) int {
	if len(args) != 4 {
		return lab.Fail(errors.New("want JOURNAL LOCKS SEED MUTEXES"))
	}
	j, err := lab.OpenJournal(args[0])
	seed, err2 := strconv.ParseUint(args[2], 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return lab.Fail(err)
	}
	say := func(kind lab.Kind, run string, code int) {
		j.Add(lab.Event{Kind: kind, Call: os.Getenv(lab.EnvCall), Run: run, Code: code})
	}
	say(lab.Started, args[3], 0)
	locks := locker{dir: args[1]}
	overlap := ""
	if err := locks.key(os.Getenv("IDEM_KEY")); err != nil {
		overlap = "key"
	}
	for m := range strings.SplitSeq(args[3], ",") {
		if err := locks.mutex(m); err != nil && overlap == "" {
			overlap = m
		}
	}
	if overlap != "" {
		say(lab.Overlap, overlap, 0)
		say(lab.Ended, args[3], commandFails)
		return commandFails
	}

	rng := rand.New(rand.NewPCG(seed, 1))
	// A program may close all descriptors that it does not know. After a kill -9 of idem,
	// idem then finds it by its environment. It has no worker: after an end that idem has
	// seen, a process that has lost the descriptors does not count.
	closes := rng.IntN(6) == 0
	if closes {
		for fd := firstOfIdem; fd < lab.FirstLockDescriptor; fd++ {
			_ = unix.Close(fd)
		}
	}
	if rng.IntN(12) == 0 {
		if err := lab.Child("daemon").Start(); err != nil { // without the locks, because it does no work
			return lab.Fail(err)
		}
	}
	work := time.Duration(2+rng.IntN(200)) * time.Millisecond
	if rng.IntN(3) == 0 && !closes {
		if err := locks.share(); err != nil {
			return lab.Fail(err)
		}
		if err := lab.Child("worker", args[0], "-", work.String(), "").Run(); err != nil {
			return commandFails
		}
	} else {
		time.Sleep(work)
	}
	code := 0
	if rng.IntN(8) == 0 {
		code = commandFails
	}
	say(lab.Ended, args[3], code)
	return code
}

// locker takes locks of files in a directory without waiting.
type locker struct {
	dir string
	fds []int
}

func (l *locker) key(name string) error { return l.lock("key-"+name, unix.LOCK_EX) }

// mutex takes the lock of a mutex, NAME or NAME:N. With N, it shares the lock of the
// mutex and takes one of N further locks.
func (l *locker) mutex(m string) error {
	name, limit, places := strings.Cut(m, ":")
	if !places {
		return l.lock("mutex-"+name, unix.LOCK_EX)
	}
	err := l.lock("mutex-"+name, unix.LOCK_SH)
	n, _ := strconv.Atoi(limit)
	for i := range n {
		if err != nil {
			return err
		}
		if l.lock(fmt.Sprintf("mutex-%s-%d", name, i), unix.LOCK_EX) == nil {
			return nil
		}
	}
	return errors.New("no place")
}

func (l *locker) lock(name string, how int) error {
	fd, err := lab.TakeLock(filepath.Join(l.dir, name), how)
	if err == nil {
		l.fds = append(l.fds, fd)
	}
	return err
}

// share lets child processes inherit the locks.
func (l *locker) share() error {
	for _, fd := range l.fds {
		if err := lab.ShareLock(fd); err != nil {
			return err
		}
	}
	return nil
}
