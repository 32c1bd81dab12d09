package cmd_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	ossignal "os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// childMain is the program that scripts let idem run where a shell is not enough:
//
//	exit N                 exits with status N
//	write N SEED           writes N bytes to each stream, in pieces of odd sizes
//	until FILE...          waits until the files exist
//	trap SIGNAL READY      creates the file READY, waits for the signal and exits 0
//	argv ARG...            prints its arguments, each followed by a NUL
//	env PREFIX             prints its environment, sorted
//	refuse CALLS ERRNO P.. becomes the program P, for which those system calls fail
func childMain(args []string) int {
	mode, args := args[0], args[1:]
	switch mode {
	case "exit":
		return childNumber(args[0])
	case "write":
		childWrite(childNumber(args[0]), uint64(childNumber(args[1])))
	case "until":
		for _, file := range args {
			if !scriptAppears(file) {
				return 1
			}
		}
	case "trap":
		c := make(chan os.Signal, 1)
		ossignal.Notify(c, unix.SignalNum(args[0]))
		childMust(os.WriteFile(args[1], nil, 0o600))
		select {
		case s := <-c:
			fmt.Println("caught", unix.SignalName(s.(syscall.Signal)))
		case <-time.After(scriptPatience):
			return 1
		}
	case "argv":
		for _, a := range args {
			fmt.Print(a, "\x00")
		}
	case "env":
		env := os.Environ()
		slices.Sort(env)
		for _, kv := range env {
			if strings.HasPrefix(kv, args[0]) {
				fmt.Println(kv)
			}
		}
	case "refuse":
		return childRefuse(args[0], childNumber(args[1]), args[2:])
	default:
		fmt.Fprintln(os.Stderr, "child: no mode", mode)
		return 1
	}
	return 0
}

// childWrite writes pseudo-random bytes, never newlines only, to both streams.
func childWrite(n int, seed uint64) {
	r := rand.New(rand.NewPCG(seed, seed))
	left := map[*os.File]int{os.Stdout: n, os.Stderr: n}
	for left[os.Stdout]+left[os.Stderr] > 0 {
		to := os.Stdout
		if left[to] == 0 || left[os.Stderr] > 0 && r.IntN(2) == 0 {
			to = os.Stderr
		}
		b := make([]byte, min(left[to], 1+r.IntN(100_000)))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		_, err := to.Write(b)
		childMust(err)
		left[to] -= len(b)
	}
}

func childNumber(s string) int {
	n, err := strconv.Atoi(s)
	childMust(err)
	return n
}

func childMust(err error) {
	if err != nil {
		panic(err)
	}
}
