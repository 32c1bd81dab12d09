package cmd

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"idem/hashkey"
)

// fileParts returns the inputs of one --hash-file: one for a file or a
// directory, one for each match of a pattern. What is missing is a value too.
func fileParts(pattern string) (hashkey.Inputs, error) {
	paths := []string{pattern}
	if _, err := os.Lstat(pattern); errors.Is(err, fs.ErrNotExist) {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("%q is no pattern: %w", pattern, err)
		}
		if len(matches) > 0 {
			sort.Strings(matches)
			paths = matches
		}
	}
	var in hashkey.Inputs
	for _, path := range paths {
		value, err := pathDigest(path)
		if err != nil {
			return nil, err
		}
		in = append(in, hashkey.Part{Kind: hashkey.KindFile, Name: path, Value: value})
	}
	return in, nil
}

// pathDigest is the content of a file or of a directory and all below it:
// names, kinds and bytes, never times, owners or modes. A link is what it leads
// to; one inside the directory is only the name that it leads to, so that the walk
// ends.
func pathDigest(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return hashkey.Absent(), nil
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		sum, err := contentDigest(path, info)
		return hashkey.Present(sum), err
	}
	root, err := filepath.EvalSymlinks(path) // WalkDir would not follow it
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, p)
		var content []byte
		switch {
		case d.IsDir():
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			content = []byte(target)
		default:
			info, err := d.Info()
			if err != nil {
				return err
			}
			if content, err = contentDigest(p, info); err != nil {
				return err
			}
		}
		for _, field := range [][]byte{[]byte(d.Type().String()), []byte(name), content} {
			h.Write(binary.AppendUvarint(nil, uint64(len(field))))
			h.Write(field)
		}
		return nil
	})
	return hashkey.Present(h.Sum(nil)), err
}

// contentDigest reads a plain file; another kind has no content that stays.
func contentDigest(path string, info fs.FileInfo) ([]byte, error) {
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is neither a file nor a directory", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
}

// stdinPart reads stdin to its end and returns its digest and a file without a
// name, for the command to read from the beginning; nil when scratch makes none.
func stdinPart(scratch func() (*os.File, error), limit int64) (hashkey.Part, *os.File, error) {
	part := hashkey.Part{Kind: hashkey.KindStdin}
	f, err := scratch()
	if err != nil {
		return part, nil, err
	}
	h := sha256.New()
	w := io.Writer(h)
	if f != nil {
		w = io.MultiWriter(f, h)
	}
	src := io.Reader(os.Stdin)
	if limit >= 0 {
		src = io.LimitReader(os.Stdin, limit+1)
	}
	n, err := io.Copy(w, src)
	var fault *fs.PathError
	if errors.As(err, &fault) && fault.Op == "read" { // of stdin; the file is only written to
		return part, nil, usage("--hash-stdin: %v", err)
	}
	if err != nil {
		return part, nil, fmt.Errorf("--hash-stdin: %w", err)
	}
	if limit >= 0 && n > limit {
		return part, nil, usage("stdin has more than the %d bytes that --max-stdin allows", limit)
	}
	part.Value = hashkey.Present(h.Sum(nil))
	if f != nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return part, f, err
}
