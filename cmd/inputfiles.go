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

	"idem/hashkey"
)

// maxTrees is how many bytes of a call's inputs may list what is in its
// directories. The list of a directory that would pass it is left out.
const maxTrees = 64 << 10

// filesParts returns the inputs of all --hash-file flags of a call, with a list
// of the files of each directory as a detail.
func filesParts(flag string, patterns []string, trees *int) (hashkey.Inputs, error) {
	var in hashkey.Inputs
	for _, pattern := range patterns {
		if pattern == "" {
			return nil, usage("%s is empty: a variable may be unset", flag)
		}
		parts, err := fileParts(pattern, trees)
		var fault *patternError
		switch {
		case errors.As(err, &fault):
			return nil, usage("%s: %v", flag, err).
				hint("to match a bracket in a name, put a backslash before it: %s %s", flag, shellQuote(fault.escaped()))
		case err != nil:
			return nil, usage("%s: %v", flag, err)
		}
		in = append(in, parts...)
	}
	return in, nil
}

// fileParts returns the inputs of one --hash-file: one for a file or a
// directory, one for each match of a pattern. What is missing is a value too.
// trees is how many bytes are left for lists of files.
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

// linkDigest is the name that a link to a directory leads to, as it counts inside
// a directory. It reports false for everything else. A pattern of any depth
// would otherwise find one directory many times, or its own root.
func linkDigest(path string) ([]byte, bool, error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		return nil, false, nil // pathDigest says what is wrong
	}
	if info, err = os.Stat(path); err != nil || !info.IsDir() {
		return nil, false, nil
	}
	target, err := os.Readlink(path)
	sum := sha256.Sum256([]byte(target))
	return hashkey.Present(sum[:]), true, err
}

// pathDigest is the content of a file or of a directory and all below it:
// names, kinds and bytes, never times, owners or modes. A link is what it leads
// to; one inside the directory is only the name that it leads to, so that the walk
// ends. It lists what is below a directory.
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
		for _, field := range [][]byte{[]byte(d.Type().String()), []byte(name), content} {
			h.Write(binary.AppendUvarint(nil, uint64(len(field))))
			h.Write(field)
		}
		return nil
	})
	return hashkey.Present(h.Sum(nil)), below, err
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
		return part, nil, usage("stdin has more than %d bytes, the limit of --max-stdin", limit)
	}
	part.Value = hashkey.Present(h.Sum(nil))
	if f != nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return part, f, err
}
