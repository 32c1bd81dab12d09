//go:build linux

package shared

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"idem/test/chaos/lab"
)

// Effect is the command of the part shared-done: shared-effect JOURNAL PSQL URL GO. It waits
// for the file GO unless that is "", then inserts a row and says that the key is done, in one
// transaction. It logs its start and its end.
func Effect(args []string) int {
	if len(args) != 4 {
		return lab.Fail(errors.New("want JOURNAL PSQL URL GO"))
	}
	j, err := lab.OpenJournal(args[0])
	if err != nil {
		return lab.Fail(err)
	}
	run, key := os.Getenv("IDEM_RUN_ID"), os.Getenv("IDEM_KEY")
	fence, err := strconv.Atoi(os.Getenv("IDEM_FENCE"))
	if err != nil {
		return lab.Fail(err)
	}
	event := lab.Event{Kind: lab.Started, Call: os.Getenv(lab.EnvCall), Run: run, Code: fence}
	j.Add(event)
	for end := time.Now().Add(lab.Patience); args[3] != "" && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(args[3]); err == nil {
			break
		}
	}
	fmt.Printf("run %s\n", run)
	sql := fmt.Sprintf("begin; insert into public.effect values ('%s', '%s'); select pg_sleep(random() * 0.02); select idem.done('%s', %d); commit",
		key, run, os.Getenv("IDEM_TOKEN"), fence)
	psql := exec.Command(args[1], "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, args[2])
	psql.Stderr = os.Stderr
	err = psql.Run()
	event.Kind, event.Code = lab.Ended, lab.Status(psql.ProcessState)
	j.Add(event)
	if err != nil {
		return commandFails
	}
	return 0
}
