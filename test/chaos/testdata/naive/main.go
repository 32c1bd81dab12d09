// Naive is a simple replacement for idem. It has a lock file, which is closed on exec,
// and writes a file with the output after a success. The tests of chaos use it to show
// that this does not keep the promises.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) < 4 || os.Args[1] != "run" {
		return // mark and list do nothing
	}
	// The arguments are: run --key KEY [flags] -- COMMAND...
	code, err := run(os.Args[3], os.Args[slices.Index(os.Args, "--")+1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "naive:", err)
		os.Exit(69)
	}
	os.Exit(code)
}

func run(key string, command []string) (int, error) {
	dir := os.Getenv("IDEM_LEDGER")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, key+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return 0, err
	}
	marker := filepath.Join(dir, key+".done")
	if out, err := os.ReadFile(marker); err == nil && !slices.Contains(os.Args, "--force") {
		_, err = os.Stdout.Write(out)
		return 0, err
	}

	cmd := exec.Command(command[0], command[1:]...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	cmd.WaitDelay = 100 * time.Millisecond
	cmd.Env = append(os.Environ(), "IDEM_KEY="+key, "IDEM_RUN_ID="+strconv.Itoa(os.Getpid()), "IDEM_ATTEMPT="+strconv.Itoa(os.Getpid()%10))
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		if exit.ExitCode() < 0 {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL) // dies like its command, as idem does
		}
		return exit.ExitCode(), nil
	} else if err != nil {
		return 0, err
	}
	_, _ = os.Stdout.Write(out.Bytes())
	return 0, os.WriteFile(marker, out.Bytes(), 0o600)
}
