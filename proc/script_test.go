package proc

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process that a script leaves behind holds a pipe of idem, not the output file. So
// a reader of that file sees its end when idem ends.
func TestLeftoverOfAScriptDoesNotHoldItsOutput(t *testing.T) {
	t.Parallel()
	r, w := newPipe(t)
	s := Script{Text: "sleep 300 & echo $!; echo err >&2; exit 3", Output: w}
	end, err := s.Run(t.Context())
	if err != nil || end.ExitCode != 3 {
		t.Fatalf("got %+v, %v", end, err)
	}
	w.Close()
	pid, rest, _ := strings.Cut(string(readAll(t, r)), "\n")
	if rest != "err\n" {
		t.Errorf("after the pid: %q", rest)
	}
	leftover, _ := strconv.Atoi(pid)
	if err := syscall.Kill(leftover, syscall.SIGKILL); err != nil {
		t.Errorf("the leftover %q: %v", pid, err)
	}
}

// Both streams of a script go to one file. Their lines stay in the order of writing.
func TestOutputOfAScriptIsInOrder(t *testing.T) {
	t.Parallel()
	out, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	s := Script{Text: `i=0; while [ $i -lt 2000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; cat`, Stdin: []byte("stdin\n"), Output: out}
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&want, "out %d\nerr %d\n", i, i)
	}
	got, _ := os.ReadFile(out.Name())
	same(t, "output", got, []byte(want.String()+"stdin\n"))
}

// If the reader takes nothing, Run returns at the end of the context.
func TestScriptDoesNotWaitForItsReaderForEver(t *testing.T) {
	t.Parallel()
	_, w := newPipe(t)
	ended := t.TempDir() + "/ended"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ; ; time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(ended); err == nil {
				cancel()
				return
			}
		}
	}()
	s := Script{Text: "head -c 200000 /dev/zero; : >" + ended, Output: w}
	if end, err := s.Run(ctx); err != nil {
		t.Errorf("got %+v, %v", end, err)
	}
}
