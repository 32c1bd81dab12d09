package inputs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"idem/hashkey"
	"idem/internal/lenprefix"
)

// maxTrees is how many bytes of a call's inputs may list the contents of its
// directories. A list that would exceed it is left out.
const maxTrees = 64 << 10

// filesParts returns the inputs of all values of a flag that names files. A list of
// the files of each directory is a detail. trees is how many bytes are left for lists.
func filesParts(flag string, patterns []string, trees *int) (hashkey.Inputs, error) {
	var in hashkey.Inputs
	for _, pattern := range patterns {
		if pattern == "" {
			return nil, &Error{Flag: flag, Problem: Empty}
		}
		parts, err := fileParts(pattern, trees)
		if err != nil {
			return nil, &Error{Flag: flag, Err: err}
		}
		in = append(in, parts...)
	}
	return in, nil
}

// fileParts returns the inputs of one path or pattern: one for a file or a
// directory, one for each match of a pattern. A missing file is an input as well.
// Each list of files is taken off trees.
func fileParts(pattern string, trees *int) (hashkey.Inputs, error) {
	paths, deep := []string{pattern}, false
	if _, err := os.Lstat(pattern); errors.Is(err, fs.ErrNotExist) && hasMeta(pattern) {
		matches, err := expand(pattern)
		if err != nil {
			return nil, err
		}
		if len(matches) > 0 {
			paths, deep = matches, goesDeep(pattern)
		}
	}
	var in hashkey.Inputs
	for _, path := range paths {
		if deep {
			value, linked, err := linkDigest(path)
			if err != nil {
				return nil, err
			}
			if linked {
				in = append(in, hashkey.Part{Kind: hashkey.KindFile, Name: path, Value: value})
				continue
			}
		}
		value, below, err := pathDigest(path)
		if err != nil {
			return nil, err
		}
		in = append(in, hashkey.Part{Kind: hashkey.KindFile, Name: path, Value: value})
		if list, ok := hashkey.Tree(path, below, *trees); ok && below != nil {
			*trees -= len(list.Value)
			in = append(in, list)
		}
	}
	return in, nil
}

// linkDigest returns the target of a link to a directory as an input, as pathDigest
// does for a link inside a directory. It reports false for everything else. Without
// it, a pattern of any depth would find one directory many times, or its own root.
func linkDigest(path string) ([]byte, bool, error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		return nil, false, nil // pathDigest returns the error
	}
	if info, err = os.Stat(path); err != nil || !info.IsDir() {
		return nil, false, nil
	}
	target, err := os.Readlink(path)
	sum := sha256.Sum256([]byte(target))
	return hashkey.Present(sum[:]), true, err
}

// pathDigest returns the content of a file or of a directory as an input: names,
// kinds and bytes of all files, never times, owners or modes. A link counts by the
// content of its target. A link inside a directory counts by the name of its target,
// so the walk ends. For a directory it also returns the entries below it.
func pathDigest(path string) ([]byte, []hashkey.Entry, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return hashkey.Absent(), nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if !info.IsDir() {
		sum, err := contentDigest(path, info)
		return hashkey.Present(sum), nil, err
	}
	root, err := filepath.EvalSymlinks(path) // WalkDir would not follow it
	if err != nil {
		return nil, nil, err
	}
	h := sha256.New()
	below := []hashkey.Entry{}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, p)
		entry := hashkey.Entry{Name: name, Type: hashkey.EntryFile}
		var content []byte
		switch {
		case d.IsDir():
			entry.Type = hashkey.EntryDir
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			content = []byte(target)
			sum := sha256.Sum256(content)
			entry.Type, entry.Sum = hashkey.EntryLink, sum[:]
		default:
			info, err := d.Info()
			if err != nil {
				return err
			}
			if content, err = contentDigest(p, info); err != nil {
				return err
			}
			entry.Sum = content
		}
		if p != root {
			below = append(below, entry)
		}
		h.Write(lenprefix.Append(nil, d.Type().String(), name, string(content)))
		return nil
	})
	return hashkey.Present(h.Sum(nil)), below, err
}

// contentDigest returns the SHA-256 of a plain file. Other kinds of files have no
// lasting content and are refused.
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

// stdinPart reads stdin to its end and returns its digest as an input, and a file
// with the same content for the command to read. The file is nil if scratch makes
// none. More than limit bytes are refused, unless limit is negative.
func stdinPart(stdin io.Reader, scratch func() (*os.File, error), limit int64) (hashkey.Part, *os.File, error) {
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
	src := stdin
	if limit >= 0 {
		src = io.LimitReader(stdin, limit+1)
	}
	n, err := io.Copy(w, src)
	var fault *fs.PathError
	if errors.As(err, &fault) && fault.Op == "read" { // of stdin; the file is only written to
		return part, nil, &Error{Flag: "--hash-stdin", Err: err}
	}
	if err != nil {
		return part, nil, fmt.Errorf("--hash-stdin: %w", err)
	}
	if limit >= 0 && n > limit {
		return part, nil, &Error{Flag: "--max-stdin", Problem: TooMuch, Value: strconv.FormatInt(limit, 10)}
	}
	part.Value = hashkey.Present(h.Sum(nil))
	if f != nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return part, f, err
}
