package collect

import (
	"errors"
	"os"
	"strconv"

	"idem/test/chaos/lab"
)

// Variables that a command gets from its caller. They do not count as inputs of the key.
const (
	envCode = "CHAOS_CODE" // the exit status
	envHold = "CHAOS_HOLD" // a file: the command runs until it is removed
)

// Command is the command of all keys: collect-command JOURNAL BYTES [ITEM]. It logs its start with the key, the
// token and the fence, writes BYTES of output, and logs its end.
func Command(args []string) int {
	if len(args) < 2 { // an item of a batch is a further argument
		return lab.Fail(errors.New("want JOURNAL BYTES [ITEM]"))
	}
	size, err1 := strconv.Atoi(args[1])
	fence, err2 := strconv.Atoi(os.Getenv("IDEM_FENCE"))
	code, err3 := strconv.Atoi("0" + os.Getenv(envCode))
	j, err4 := lab.OpenJournal(args[0])
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return lab.Fail(err)
	}
	key := os.Getenv("IDEM_KEY")
	me := lab.Event{Kind: lab.Started, Call: key + "@" + os.Getenv("IDEM_WINDOW"), Run: os.Getenv("IDEM_TOKEN"), Code: fence}
	j.Add(me)
	_, err := os.Stdout.Write(lab.CommandOutput(key, size))
	if err != nil {
		return lab.Fail(err)
	}
	if hold := os.Getenv(envHold); hold != "" {
		lab.AwaitGone(hold, 20*lab.Patience)
	}
	me.Kind, me.Code = lab.Ended, code
	j.Add(me)
	return code
}
