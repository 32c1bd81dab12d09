package cmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"idem/proc"
)

// replaceFile writes a file so that a reader, or a crash at any moment, finds either the old
// content or the new one, whole. With an error, the old content stays. The mode does not depend
// on the umask.
//
// The temporary file is in the same directory. Its name has a leading dot and ends with
// .tmp, so no program that reads all files of a directory takes it for the file. A path that
// is not a regular file is refused. A rename would replace a device or a link by a file, and
// a link could lead to any file.
//
// A signal has no effect until the file is complete, so it leaves no temporary file. flag is the
// one that names the file, for the message of an error.
func replaceFile(flag, path string, mode fs.FileMode, content []byte) error {
	return proc.Tidily(context.Background(), func(context.Context) error {
		if err := writeAnew(path, mode, content); err != nil {
			return fail(exitLedger, "%s: %w", flag, err)
		}
		return nil
	})
}

func writeAnew(path string, mode fs.FileMode, content []byte) (err error) {
	if err := checkReplaceable(path); err != nil {
		return err
	}
	dir, base := filepath.Split(path)
	dir, base = filepath.Clean(dir+"."), "."+base[:min(len(base), 200)]+"."
	removeLeftovers(dir, base)
	f, err := os.CreateTemp(dir, base+"*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// leftoverAge is the age from which on a temporary file is that of a call that was killed.
const leftoverAge = time.Hour

// removeLeftovers removes the temporary files that killed calls have left: regular files with
// the prefix, digits and .tmp.
func removeLeftovers(dir, prefix string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // a directory may be writable but not readable
	}
	for _, e := range entries {
		middle, ok := strings.CutPrefix(e.Name(), prefix)
		digits, isTemp := strings.CutSuffix(middle, ".tmp")
		if !ok || !isTemp || digits == "" || strings.Trim(digits, "0123456789") != "" {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > leftoverAge {
			_ = os.Remove(filepath.Join(dir, e.Name())) // the file of this call matters more
		}
	}
}

// checkReplaceable returns an error if path exists and is not a regular file.
func checkReplaceable(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return &fs.PathError{Op: "write", Path: path, Err: errors.New("is a directory")}
	case !info.Mode().IsRegular():
		return &fs.PathError{Op: "write", Path: path, Err: errors.New("is not a regular file")}
	}
	return nil
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) { // a directory may be writable but not readable
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
