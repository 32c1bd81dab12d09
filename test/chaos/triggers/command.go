package triggers

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
)

// Exit statuses of Command.
const (
	commandFails    = 3
	commandOverlaps = 99
)

// firstLockDescriptor is higher than the descriptors that idem passes on. Linux closes the
// files of a dying process from the highest descriptor down, so this lock is free first.
const firstLockDescriptor = 300

// Command is the command: trigger-command JOURNAL LOCK. It takes a lock that is
// independent of idem, works for a while, and prints its run ID.
func Command(args []string) int {
	if len(args) != 2 {
		return lab.Fail(errors.New("want JOURNAL LOCK"))
	}
	j, err := lab.OpenJournal(args[0])
	if err != nil {
		return lab.Fail(err)
	}
	me := lab.Event{Call: os.Getenv(lab.EnvCall), Run: os.Getenv("IDEM_RUN_ID")}
	say := func(k lab.Kind, code int) {
		me.Kind, me.Code = k, code
		j.Add(me)
	}
	fd, err := unix.Open(args[1], unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err == nil {
		fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstLockDescriptor)
	}
	if err != nil {
		return lab.Fail(err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		say(lab.Overlap, 0)
		return commandOverlaps
	}
	say(lab.Started, 0)
	h := fnv.New64a()
	h.Write([]byte(me.Run))
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
	fmt.Println(me.Run) // there is no reader of it if idem was killed
	code := 0
	if rng.IntN(10) == 0 {
		code = commandFails
	}
	say(lab.Ended, code)
	return code
}
