package cmd_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"

	"idem/cmd"
)

func cmdScreen(ts *testscript.TestScript, args []string) {
	columns, err := strconv.ParseUint(args[0], 10, 16)
	ts.Check(err)
	c := scriptProgram(ts, args[2:])
	tty, err := pty.StartWithSize(c, &pty.Winsize{Rows: 24, Cols: uint16(columns)})
	ts.Check(err)
	defer tty.Close()
	shown, err := io.ReadAll(tty)
	if err != nil && !errors.Is(err, syscall.EIO) { // the end of a terminal
		ts.Fatalf("%v", err)
	}
	if err := c.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		ts.Fatalf("%v", err)
	}
	text := strings.ReplaceAll(string(shown), "\r\n", "\n")
	ts.Logf("[screen]\n%s", text)
	ts.Check(os.WriteFile(ts.MkAbs("screen"), []byte(text), 0o666))
	if got := scriptEnding(c.ProcessState); got != args[1] {
		ts.Fatalf("got the end %s, want %s", got, args[1])
	}
}

func cmdFits(ts *testscript.TestScript, args []string) {
	width, err := strconv.Atoi(args[0])
	ts.Check(err)
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		if line = strings.TrimSuffix(line, "\n"); cmd.Cells(line) > width {
			ts.Fatalf("got a line of %d cells, want at most %d:\n%s", cmd.Cells(line), width, line)
		}
	}
}
