// Package sidefile records the bytes that a command appends to the user's files,
// and appends them again on a replay. It reads and writes files and knows nothing
// of calls.
package sidefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"idem/ledger"
)

// File is a file to which a command may append, so its addition is recorded. A
// later call finds the addition by Name or, if no name is equal, by Place.
type File struct {
	Name  string
	Place int // 0: the addition is found by Name alone
	Path  string
}

// Error is why an addition to a file cannot be recorded, or cannot be appended
// again.
type Error struct{ Err error }

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Loss is an addition that a replay lacks.
type Loss struct {
	Name string // of the file
	Err  error
}

// The reasons for a loss that this package finds.
var (
	ErrRewritten = errors.New("its earlier content is gone")
	ErrTooMuch   = errors.New("it is larger than " + strconv.Itoa(maxAddition>>20) + " MiB")
	ErrNotKept   = errors.New("it was not recorded")
	ErrNoFile    = errors.New("the call has no such file")
)

const (
	// maxAddition is the maximum number of bytes recorded for one file. An addition
	// is held in memory and stored in one piece. For comparison, GitHub accepts up
	// to 1 MiB of a step summary.
	maxAddition = 16 << 20
	// tailSize is the number of bytes at the end of a file that are compared. They
	// show whether a command appended to the file or rewrote it. One page costs one
	// read.
	tailSize = 4 << 10
)

// Extent is the length of a file and its last bytes, before the command runs.
type Extent struct {
	file File
	size int64
	tail []byte
}

// Check returns why path cannot be a File, or nil. A File is a readable regular
// file, or a missing file in an existing directory. The error is an *Error.
func Check(path string) error {
	_, err := measure(File{Path: path})
	return err
}

// Measure returns the extents of files before their command runs. The error is an
// *Error.
func Measure(files []File) ([]Extent, error) {
	var all []Extent
	for _, file := range files {
		e, err := measure(file)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// measure returns the extent of one file. A missing file counts as empty, because
// the command may create it.
func measure(file File) (Extent, error) {
	e := Extent{file: file}
	f, info, err := openRegular(file.Path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		dir := filepath.Dir(file.Path)
		if _, err := os.Stat(dir); err != nil {
			return e, &Error{fmt.Errorf("the directory of %s: %w", file.Path, err)}
		}
		return e, nil
	}
	if err != nil {
		return e, &Error{err}
	}
	defer f.Close()
	e.size = info.Size()
	e.tail = make([]byte, min(e.size, tailSize))
	if _, err := f.ReadAt(e.tail, e.size-int64(len(e.tail))); err != nil {
		return e, &Error{fmt.Errorf("%s: %w", file.Path, err)}
	}
	return e, nil
}

// added returns the bytes appended to the file since it was measured, or none if
// the file is gone.
func (e Extent) added() ([]byte, fs.FileInfo, error) {
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
	if _, err = f.ReadAt(content, e.size); errors.Is(err, io.EOF) { // truncated since it was opened
		err = ErrRewritten
	}
	return content, info, err
}

// Additions returns the bytes that a command appended to its files since they were
// measured. An addition for which refuse returns an error is a loss: none of its
// bytes is returned. Two names of one file count as one file.
func Additions(before []Extent, refuse func(content []byte) error) (files []ledger.File, losses []Loss) {
	var seen []fs.FileInfo
	for _, e := range before {
		content, info, err := e.added()
		same := func(s fs.FileInfo) bool { return os.SameFile(s, info) }
		if info != nil && slices.ContainsFunc(seen, same) || err == nil && len(content) == 0 {
			continue
		}
		if info != nil {
			seen = append(seen, info)
		}
		if err == nil {
			err = refuse(content)
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

// openRegular opens a regular file and rejects any other. Opening a pipe would
// wait for its other end.
func openRegular(path string, flags int) (*os.File, fs.FileInfo, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.OpenFile(path, flags|syscall.O_NONBLOCK, 0o666)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}
