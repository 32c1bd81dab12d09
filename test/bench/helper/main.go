// Helper is the command that the calls of bench run. It is small, so it adds little to
// the figures.
//
//	helper gen N          writes N bytes of text to stdout
//	helper read N CMD     runs CMD and reads its N bytes of output from a pipe
//	helper spawn CMD      runs CMD and waits for it: the least cost of a start from Go
//	helper spawns J N FILE CMD
//	                      runs CMD N times, J at once, with locks in FILE
//	helper usage FILE CMD does the same, and writes into FILE the peak memory of CMD in
//	                      KiB, its page faults, and the peak memory of helper
//
// The peak memory of a process is at least that of its parent, because exec keeps the
// mark. So a small program has to start the process that is measured.
package main

import (
	"os"
	"strconv"
	"syscall"
)

func main() {
	args := os.Args[1:]
	switch {
	case len(args) >= 2 && args[0] == "gen": // further arguments only distinguish calls
		n, err := strconv.ParseInt(args[1], 10, 64)
		if err == nil {
			err = gen(n)
		}
		exit(err)
	case len(args) >= 3 && args[0] == "read":
		status, err := read(args[1], args[2:])
		if err != nil {
			exit(err)
		}
		os.Exit(status)
	case len(args) >= 2 && args[0] == "spawn":
		ws, _ := spawn(args[1:])
		os.Exit(status(ws))
	case len(args) >= 5 && args[0] == "spawns":
		exit(spawns(args[1], args[2], args[3], args[4:]))
	case len(args) >= 3 && args[0] == "usage":
		ws, ru := spawn(args[2:])
		var own syscall.Rusage
		err := syscall.Getrusage(syscall.RUSAGE_SELF, &own)
		if err == nil {
			line := strconv.FormatInt(int64(ru.Maxrss), 10) + " " + strconv.FormatInt(int64(ru.Minflt), 10) + " " + strconv.FormatInt(int64(own.Maxrss), 10)
			err = os.WriteFile(args[1], []byte(line), 0o600)
		}
		if err != nil {
			exit(err)
		}
		os.Exit(status(ws))
	}
	os.Exit(2)
}

// gen writes n bytes that look like lines of a log, in pieces of 64 KiB.
func gen(n int64) error {
	const line = "2026-11-22T06:44:24Z info uploading artifact build/out/app-linux-amd64.tar.gz part 17 of 230 checksum 4f2c1e77\n"
	piece := make([]byte, 64<<10)
	for i := range piece {
		piece[i] = line[i%len(line)]
	}
	for n > 0 {
		w, err := os.Stdout.Write(piece[:min(n, int64(len(piece)))])
		if err != nil {
			return err
		}
		n -= int64(w)
	}
	return nil
}

func spawn(argv []string) (syscall.WaitStatus, syscall.Rusage) {
	var ws syscall.WaitStatus
	var ru syscall.Rusage
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		exit(err)
	}
	_, err = syscall.Wait4(pid, &ws, 0, &ru)
	for err == syscall.EINTR {
		_, err = syscall.Wait4(pid, &ws, 0, &ru)
	}
	if err != nil {
		exit(err)
	}
	return ws, ru
}

func status(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

func exit(err error) {
	if err != nil {
		_, _ = os.Stderr.WriteString("helper: " + err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(0)
}
