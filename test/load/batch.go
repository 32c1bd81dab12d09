package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// each executes many items, and then skips them all in other orders.
func each(l *load) error {
	list, err := l.list("items", l.items, func(i int) int { return i })
	if err != nil {
		return err
	}
	execute, err := l.batch("ledger0", "executed", list, "true")
	if err == nil {
		err = l.checkDone("ledger0", l.items)
	}
	if err != nil {
		return err
	}
	before, err := l.sum("ledger0")
	if err != nil {
		return err
	}
	reversed, err := l.list("reversed", l.items, func(i int) int { return l.items - 1 - i })
	if err != nil {
		return err
	}
	skip, err := l.batch("ledger0", "skipped", reversed, "true")
	if err == nil {
		err = l.checkSilent("skipped")
	}
	if err != nil {
		return err
	}
	if after, err := l.sum("ledger0"); err != nil || after != before {
		return errors.Join(err, errors.New("a call over a finished list has changed the ledger"))
	}
	more, err := l.list("more", l.items+1, func(i int) int { return l.items - i }) // a new item is the first one
	if err == nil {
		_, err = l.batch("ledger0", "more", more, "true")
	}
	if err == nil {
		err = l.checkDone("ledger0", l.items+1)
	}
	if err != nil {
		return err
	}
	l.Count("items executed", l.items)
	l.Measure("items executed in a second", float64(l.items)/execute.took.Seconds())
	l.Measure("peak memory in MB, executed (demand: at most 64)", execute.megabytes)
	l.Count("items skipped", l.items)
	l.Measure("items skipped in a second (demand: at least 100,000)", float64(l.items)/skip.took.Seconds())
	l.Measure("peak memory in MB, skipped (demand: at most 64)", skip.megabytes)
	l.Count("bytes of the ledger that changed while items were skipped", 0)
	l.Count("items executed when one was new", 1)
	return l.checkLeft("ledger0", nil)
}

// list makes a file with n items. item returns the number of the one on a line.
func (l *load) list(name string, n int, item func(line int) int) (string, error) {
	path := filepath.Join(l.dir, name)
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	w := bufio.NewWriter(f)
	for i := range n {
		fmt.Fprintf(w, "item-%07d\n", item(i))
	}
	return path, errors.Join(w.Flush(), f.Close())
}

// batchCall has the figures of a call of idem each.
type batchCall struct {
	took      time.Duration
	megabytes float64 // the peak of the memory of idem, or of a command if that is more
}

// batch runs a command for each item of a list, eight at once. Stdout and stderr go to
// files with the given name.
func (l *load) batch(ledger, name, list string, command ...string) (b batchCall, err error) {
	out, err := os.Create(filepath.Join(l.dir, name+".out"))
	if err != nil {
		return b, err
	}
	defer out.Close()
	messages, err := os.Create(filepath.Join(l.dir, name+".err"))
	if err != nil {
		return b, err
	}
	defer messages.Close()
	c := l.callIdem(ledger, append([]string{"each", "--key", "load", "-j", "8", "--arg-file", list, "--"}, command...)...)
	c.Stdout, c.Stderr = out, messages
	begin := time.Now()
	if err := c.Run(); err != nil {
		text, _ := os.ReadFile(messages.Name())
		return b, fmt.Errorf("idem each, %s: %w: %.500s", name, err, text)
	}
	b.took = time.Since(begin)
	if usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		b.megabytes = float64(usage.Maxrss) / 1024
	}
	return b, nil
}

// checkDone returns an error unless n items have succeeded.
func (l *load) checkDone(ledger string, n int) error {
	c := l.callIdem(ledger, "list", "--under", "load", "--state", "succeeded", "--items")
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return err
	}
	var count lineCount
	_, copied := io.Copy(&count, out)
	if err := errors.Join(copied, c.Wait()); err != nil {
		return fmt.Errorf("idem list: %w", err)
	}
	if int(count) != n {
		return fmt.Errorf("idem list has %d items that succeeded, not %d", count, n)
	}
	return nil
}

type lineCount int

func (c *lineCount) Write(p []byte) (int, error) {
	*c += lineCount(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

// checkSilent returns an error if a call wrote anything.
func (l *load) checkSilent(name string) error {
	for _, stream := range []string{".out", ".err"} {
		if b, err := os.ReadFile(filepath.Join(l.dir, name+stream)); err != nil || len(b) > 0 {
			return errors.Join(err, fmt.Errorf("%s%s has %.500q", name, stream, b))
		}
	}
	return nil
}

// sum returns the hash of the files of a ledger that keep records.
func (l *load) sum(ledger string) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		f, err := os.Open(filepath.Join(l.dir, ledger, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return sum, err
		}
		_, err = io.Copy(h, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return sum, err
		}
		h.Write([]byte{0})
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// held lets the first item wait for the last one, so the outputs of all other items wait.
func held(l *load) error {
	size := max(8<<10, (40<<20)/l.waiting)
	list, err := l.list("items", l.waiting+1, func(i int) int { return i })
	if err != nil {
		return err
	}
	mark := filepath.Join(l.dir, "mark")
	last := fmt.Sprintf("item-%07d", l.waiting)
	b, err := l.batch("ledger0", "held", list, l.self, "wait", mark, last, strconv.Itoa(size), "{}")
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(l.dir, "held.out"))
	if err != nil {
		return err
	}
	defer f.Close()
	got := bufio.NewReader(f)
	piece := make([]byte, size)
	for i := range l.waiting + 1 {
		want := outputOf(fmt.Sprintf("item-%07d", i), size)
		if _, err := io.ReadFull(got, piece); err != nil || string(piece) != want {
			return errors.Join(err, fmt.Errorf("the output of item %d is %.60q, not %.60q", i, piece, want))
		}
	}
	if _, err := got.ReadByte(); err != io.EOF {
		return errors.New("there is more output than that of the items")
	}
	l.Count("items that waited to print", l.waiting)
	l.Count("bytes of each", size)
	l.Count("outputs out of order or incomplete", 0)
	l.Measure("peak memory in MB (demand: at most 64)", b.megabytes)
	return nil
}

// wait is the command of held. The first item ends after the last one has begun.
func wait(args []string) int {
	mark, last, item := args[0], args[1], args[3]
	size, err := strconv.Atoi(args[2])
	switch {
	case err != nil:
	case strings.Trim(item, "item-0") == "":
		for {
			if _, err := os.Stat(mark); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	case item == last:
		err = os.WriteFile(mark, nil, 0o600)
	}
	if err == nil {
		_, err = os.Stdout.WriteString(outputOf(item, size))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// outputOf returns the output of an item.
func outputOf(item string, size int) string {
	line := item + " " + strings.Repeat("x", 60) + "\n"
	return strings.Repeat(line, size/len(line)+1)[:size]
}
