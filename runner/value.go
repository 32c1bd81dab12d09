package runner

import (
	"errors"
	"io"
	"os"

	"idem/internal/fdio"
	"idem/proc"
)

// heldValue is the live stdout of the attempts of a call that passes on only that of the last
// one, after its end.
type heldValue struct {
	file    *os.File // without a name
	at, end int64    // where the stdout of the latest attempt begins and ends
}

// holdsValue reports whether the call holds its live stdout. A script reads it as a value, and a
// replay has the stdout of the last attempt alone.
func (t *Task) holdsValue() bool {
	return t.Replay.Value && t.Retries.N > 0 && !t.TTY && !t.Output.Quiet && t.Scratch != nil && t.Live.Stdout != nil
}

// liveStdout returns the live stdout of the next attempt, and the function that records its
// output. Without a held value, these are those of the call and record.
func (t *Task) liveStdout(record func(proc.Stream, []byte)) (*os.File, func(proc.Stream, []byte), error) {
	if !t.holdsValue() {
		return t.Live.Stdout, record, nil
	}
	if t.value == nil {
		f, err := t.Scratch()
		if err != nil {
			return nil, nil, err
		}
		t.value = &heldValue{file: f}
	}
	v := t.value
	v.at = v.end
	return v.file, func(s proc.Stream, p []byte) {
		if s == proc.Stdout {
			v.end += int64(len(p))
		}
		record(s, p)
	}, nil
}

// passValue writes the stdout of the last attempt, if it was held. It adds write errors to the
// result.
func (t *Task) passValue(res *Result) {
	if t.value == nil {
		return
	}
	defer t.value.file.Close()
	proc.OutlivePipe() // as in a replay
	p := make([]byte, 64<<10)
	for at := t.value.at; ; {
		n, err := t.value.file.ReadAt(p, at)
		at += int64(n)
		if fault := fdio.WriteAll(t.Live.Stdout, p[:n]); fault != nil {
			res.addWriteError(t.Live.Stdout, fault)
			return
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				res.Streams = append(res.Streams, err)
			}
			return
		}
	}
}
