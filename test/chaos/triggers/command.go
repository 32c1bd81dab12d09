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
	switch _, err := lab.TakeLock(args[1], unix.LOCK_EX); {
	case errors.Is(err, unix.EWOULDBLOCK):
		say(lab.Overlap, 0)
		return commandOverlaps
	case err != nil:
		return lab.Fail(err)
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
