package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"idem/ledger"
)

// ReplayFile is a file of which a call records what its command appends, and to
// which a replay appends it again.
type ReplayFile struct {
	Name  string // by which a later call finds what is recorded
	Place int    // by which it does so where no name fits; 0: by its name alone
	Path  string
}

// FileError says why nothing can be recorded of a file, or appended to it.
type FileError struct{ Err error }

func (e *FileError) Error() string { return e.Err.Error() }
func (e *FileError) Unwrap() error { return e.Err }

// Loss is something that a command appended to a file and that a replay lacks.
type Loss struct {
	Name string // of the file
	Err  error
}

// The losses.
var (
	ErrRewritten = errors.New("what was in the file before is no longer there")
	ErrTooMuch   = fmt.Errorf("it is more than %d MiB", maxAddition>>20)
	ErrNotKept   = errors.New("it was not recorded")
	ErrNoFile    = errors.New("the call has no such file")
	ErrUnwanted  = errors.New("output is not to be stored")
	ErrSecret    = errors.New("in it is what is to be redacted")
)

const (
	// maxAddition bounds what is recorded of one file: it is held in memory and
	// stored in one piece. GitHub takes no more than 1 MiB of a step summary.
	maxAddition = 16 << 20
	// tailSize is how much of the end of a file is remembered to see whether a
	// command appended to it or wrote it anew: one page, which costs one read.
	tailSize = 4 << 10
)

// extent is how long a file was before a command, and how it ended then.
type extent struct {
	file ReplayFile
	size int64
	tail []byte
}

// CheckFile tells whether path can be a ReplayFile: a regular file that can be
// read, or none in a directory that is there. The error is a *FileError.
func CheckFile(path string) error {
	_, err := measure(ReplayFile{Path: path})
	return err
}

// measure looks at a file before its command. One that is missing is empty: the
// command may make it.
func measure(file ReplayFile) (extent, error) {
	e := extent{file: file}
	f, info, err := openRegular(file.Path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		dir := filepath.Dir(file.Path)
		if _, err := os.Stat(dir); err != nil {
			return e, &FileError{fmt.Errorf("the directory of %s: %w", file.Path, err)}
		}
		return e, nil
	}
	if err != nil {
		return e, &FileError{err}
	}
	defer f.Close()
	e.size = info.Size()
	e.tail = make([]byte, min(e.size, tailSize))
	if _, err := f.ReadAt(e.tail, e.size-int64(len(e.tail))); err != nil {
		return e, &FileError{fmt.Errorf("%s: %w", file.Path, err)}
	}
	return e, nil
}

func (c *call) measure() ([]extent, error) {
	var all []extent
	for _, file := range c.Files {
		e, err := measure(file)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// added returns what was appended to the file since, nothing when it is gone.
func (e extent) added() ([]byte, fs.FileInfo, error) {
	f, info, err := openRegular(e.file.Path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	n := info.Size() - e.size
	if n < 0 {
		return nil, info, ErrRewritten
	}
	tail := make([]byte, len(e.tail))
	if _, err := f.ReadAt(tail, e.size-int64(len(tail))); err != nil && err != io.EOF {
		return nil, info, err
	}
	switch {
	case !bytes.Equal(tail, e.tail):
		return nil, info, ErrRewritten
	case n > maxAddition:
		return nil, info, ErrTooMuch
	}
	content := make([]byte, n)
	if _, err = f.ReadAt(content, e.size); err == io.EOF { // it has become shorter while we read
		err = ErrRewritten
	}
	return content, info, err
}

// additions returns what a command appended to its files: all that the ledger
// ever gets to see of them. Two names of one file are one file. What holds a
// secret is not kept at all: appended without it, it would be another outcome.
func (c *call) additions(before []extent) (files []ledger.File, losses []Loss) {
	var seen []fs.FileInfo
	for _, e := range before {
		content, info, err := e.added()
		if info != nil && known(seen, info) || err == nil && len(content) == 0 {
			continue
		}
		seen = append(seen, info)
		switch {
		case err != nil:
		case c.Output.None:
			err = ErrUnwanted
		case c.Redact.Finds(content):
			err = ErrSecret
		}
		file := ledger.File{Name: e.file.Name, Place: e.file.Place, Content: content}
		if err != nil {
			file.Content, file.Lost = nil, true
			losses = append(losses, Loss{e.file.Name, err})
		}
		files = append(files, file)
	}
	return files, losses
}

func known(seen []fs.FileInfo, info fs.FileInfo) bool {
	for _, s := range seen {
		if s != nil && os.SameFile(s, info) {
			return true
		}
	}
	return false
}

// fileOf finds the file of this call that all[i] is to be appended to: the one
// of its name, else the one in its place, unless that is another's by name.
func (c *call) fileOf(all []ledger.File, i int) (ReplayFile, bool) {
	for _, f := range c.Files {
		if f.Name == all[i].Name {
			return f, true
		}
	}
	for _, f := range c.Files {
		if f.Place > 0 && f.Place == all[i].Place && !hasName(all, f.Name) {
			return f, true
		}
	}
	return ReplayFile{}, false
}

func hasName(all []ledger.File, name string) bool {
	for _, f := range all {
		if f.Name == name {
			return true
		}
	}
	return false
}

// addition is something to append to a file that is open for it.
type addition struct {
	name          string
	to            *os.File
	content       []byte
	before, after int64 // how long the file was before it was appended, and then
}

// additionsOf reads what the current attempt appended to files. With Exact, it
// fails if something of it was not recorded. The error is a *ReplayError.
func (c *call) additionsOf(ctx context.Context, rec ledger.Record) ([]ledger.File, error) {
	if rec.Current.Files == 0 {
		return nil, nil
	}
	files, err := c.Ledger.Files(ctx, rec.ID, rec.Current.RunID)
	if err != nil {
		return nil, &ReplayError{err}
	}
	if c.Replay.Exact && slices.ContainsFunc(files, func(f ledger.File) bool { return f.Lost }) {
		return nil, &ReplayError{&InexactError{Lacks{Files: true}}}
	}
	return files, nil
}

// openFiles opens the files of this call for what was appended to files, all of
// them or none, before anything of a replay is written. A file that would not
// take its part must not pass for a replay: its error is a *ReplayError.
func (c *call) openFiles(files []ledger.File, res *Result) ([]addition, error) {
	var list []addition
	for i, recorded := range files {
		file, ok := c.fileOf(files, i)
		switch {
		case recorded.Lost:
			res.Losses = append(res.Losses, Loss{recorded.Name, ErrNotKept})
			continue
		case !ok:
			res.Losses = append(res.Losses, Loss{recorded.Name, ErrNoFile})
			continue
		}
		to, _, err := openRegular(file.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE)
		if err != nil {
			closeFiles(list)
			return nil, replayFileError(file.Name, err)
		}
		list = append(list, addition{name: file.Name, to: to, content: recorded.Content})
	}
	return list, nil
}

func closeFiles(list []addition) {
	for _, a := range list {
		a.to.Close()
	}
}

// appendFiles appends each addition to its file, with one write. When one fails,
// all are taken back: the call is made again then, and appends all again.
func appendFiles(list []addition) error {
	for i := range list {
		err := list[i].append()
		if err == nil {
			continue
		}
		if kept := takeBack(list[:i+1]); kept != nil {
			err = fmt.Errorf("%w; %w", err, kept)
		}
		return replayFileError(list[i].name, err)
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

// takeBack cuts off again what was appended, the last first, since two names may
// be one file. What another process has appended to since is left as it is.
func takeBack(list []addition) (kept error) {
	for _, a := range slices.Backward(list) {
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

func replayFileError(name string, err error) error {
	return &ReplayError{&FileError{fmt.Errorf("what the command appended to %q cannot be appended again: %w", name, err)}}
}

// openRegular opens a regular file, and nothing else: a pipe would wait for
// its other end.
func openRegular(path string, flags int) (*os.File, fs.FileInfo, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.OpenFile(path, flags|syscall.O_NONBLOCK, 0o666)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}
