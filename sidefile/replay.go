package sidefile

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"idem/ledger"
)

// Replay is a set of recorded additions with the open files to append them to.
type Replay []addition

// addition is the content to append to one open file.
type addition struct {
	name          string
	to            *os.File
	content       []byte
	before, after int64 // the length of the file before and after the append
}

// Open opens the files of a call for the recorded additions: all of them or none.
// The losses are the additions that cannot be appended again, because they were
// not recorded or the call has no file for them. A file that cannot be opened
// does not count as a loss: the error is an *Error.
func Open(files []File, recorded []ledger.File) (r Replay, losses []Loss, err error) {
	for i, rec := range recorded {
		file, ok := fileOf(files, recorded, i)
		switch {
		case rec.Lost:
			losses = append(losses, Loss{rec.Name, ErrNotKept})
			continue
		case !ok:
			losses = append(losses, Loss{rec.Name, ErrNoFile})
			continue
		}
		to, _, err := openRegular(file.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE)
		if err != nil {
			r.Close()
			return nil, losses, replayError(file.Name, err)
		}
		r = append(r, addition{name: file.Name, to: to, content: rec.Content})
	}
	return r, losses, nil
}

// fileOf returns the file to which recorded[i] is appended. It is the file of the
// same name. If there is none, it is the file with the same Place, unless the name
// of that file is recorded too.
func fileOf(files []File, recorded []ledger.File, i int) (File, bool) {
	at := slices.IndexFunc(files, func(f File) bool { return f.Name == recorded[i].Name })
	if at < 0 {
		at = slices.IndexFunc(files, func(f File) bool {
			taken := func(rec ledger.File) bool { return rec.Name == f.Name }
			return f.Place > 0 && f.Place == recorded[i].Place && !slices.ContainsFunc(recorded, taken)
		})
	}
	if at < 0 {
		return File{}, false
	}
	return files[at], true
}

// Close closes the files.
func (r Replay) Close() {
	for _, a := range r {
		a.to.Close()
	}
}

// Append appends each addition to its file, with one write. When a write fails,
// all additions are cut off again, so the call can be repeated. The error is an
// *Error.
func (r Replay) Append() error {
	for i := range r {
		err := r[i].append()
		if err == nil {
			continue
		}
		if kept := r[:i+1].takeBack(); kept != nil {
			err = fmt.Errorf("%w; %w", err, kept)
		}
		return replayError(r[i].name, err)
	}
	return nil
}

func (a *addition) append() error {
	info, err := a.to.Stat()
	if err != nil {
		return err
	}
	a.before = info.Size()
	n, err := a.to.Write(a.content)
	a.after = a.before + int64(n)
	return err
}

// takeBack removes the additions from their files. It begins with the last one,
// because two names may belong to one file. A file that another process has
// appended to since then stays as it is, and the error names it.
func (r Replay) takeBack() (kept error) {
	for _, a := range slices.Backward(r) {
		if a.after == a.before {
			continue
		}
		info, err := a.to.Stat()
		if err == nil && info.Size() != a.after {
			err = errors.New("another process has written to it")
		}
		if err == nil {
			err = a.to.Truncate(a.before)
		}
		if err != nil {
			kept = fmt.Errorf("%q keeps what was appended again: %w", a.name, err)
		}
	}
	return kept
}

func replayError(name string, err error) error {
	return &Error{fmt.Errorf("cannot replay the addition to file %q: %w", name, err)}
}
