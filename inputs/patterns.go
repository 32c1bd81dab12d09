package inputs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// anyDepth is the path element of a pattern that matches zero or more directories.
const anyDepth = "**"

// hasMeta reports whether a path has characters that are special in a pattern of
// filepath.Match.
func hasMeta(path string) bool { return strings.ContainsAny(path, `*?[\`) }

// goesDeep reports whether a pattern has an element of any depth.
func goesDeep(pattern string) bool {
	return slices.Contains(strings.Split(pattern, "/"), anyDepth)
}

// expand returns the paths that match a pattern, sorted. It differs from
// filepath.Glob in three ways:
//
//   - an element ** matches any number of directories, but follows no links;
//   - a directory that cannot be read is an error;
//   - brackets in a name that exists are part of the name. If other names match it
//     as a pattern too, expand returns a *PatternError.
func expand(pattern string) ([]string, error) {
	whole := pattern
	if strings.HasSuffix("/"+pattern, "/"+anyDepth) {
		pattern += "/*" // every file below
	}
	paths, err := expandPath(whole, pattern)
	if err != nil {
		return nil, err
	}
	if _, bad := filepath.Match(pattern, ""); bad != nil && len(paths) == 0 {
		return nil, &PatternError{Pattern: whole, Err: bad}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// expandPath returns the paths that match a pattern, in any order. The pattern is
// whole or its first elements.
func expandPath(whole, pattern string) ([]string, error) {
	if !hasMeta(pattern) {
		return existing(pattern)
	}
	dir, element := filepath.Split(pattern)
	switch dir {
	case "":
		dir = "."
	case "/":
	default:
		dir = dir[:len(dir)-1] // its last slash
	}
	dirs := []string{dir}
	if hasMeta(dir) {
		var err error
		if dirs, err = expandPath(whole, dir); err != nil {
			return nil, err
		}
	}
	deep := filepath.Base(dir) == anyDepth
	var paths []string
	for _, d := range dirs {
		var below []string
		var err error
		switch {
		case element == anyDepth:
			below, err = directories(d)
		case element == "*" && deep:
			// The files of every depth match one by one. A directory would count
			// them a second time.
			below, err = expandElement(whole, d, element, func(e fs.DirEntry) bool { return !e.IsDir() })
		default:
			below, err = expandElement(whole, d, element, func(fs.DirEntry) bool { return true })
		}
		if err != nil {
			return nil, err
		}
		paths = append(paths, below...)
	}
	return paths, nil
}

// existing returns the path if it exists.
func existing(path string) ([]string, error) {
	_, err := os.Lstat(path)
	if gone(err) {
		return nil, nil
	}
	return []string{path}, err
}

// gone reports whether err means that a path does not exist, or that one of its
// elements is not a directory.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// entries reads a directory. It reports false if dir is not a directory.
func entries(dir string) ([]fs.DirEntry, bool, error) {
	// Stat first: opening a pipe would wait for a writer.
	info, err := os.Stat(dir)
	if gone(err) || err == nil && !info.IsDir() {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	list, err := os.ReadDir(dir)
	if gone(err) { // since os.Stat
		return nil, false, nil
	}
	return list, true, err
}

// directories returns a directory and all directories below it, without following
// links. It returns nothing if dir is not a directory.
func directories(dir string) ([]string, error) {
	list, is, err := entries(dir)
	if err != nil || !is {
		return nil, err
	}
	dirs := []string{dir}
	for _, e := range list {
		if !e.IsDir() {
			continue
		}
		below, err := directories(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, below...)
	}
	return dirs, nil
}

// expandElement returns the paths of the entries of a directory that match one
// element of the pattern whole and for which fit returns true.
func expandElement(whole, dir, element string, fit func(fs.DirEntry) bool) ([]string, error) {
	switch {
	case element == "", element == ".", element == "..":
		return nil, nil // no entry has such a name
	case !hasMeta(element):
		return existing(filepath.Join(dir, element))
	}
	list, _, err := entries(dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	literal := false // the element is the name of an entry that it does not match
	for _, e := range list {
		match, err := filepath.Match(element, e.Name())
		switch {
		case match && fit(e):
			paths = append(paths, filepath.Join(dir, e.Name()))
		case (err != nil || !match) && e.Name() == element:
			literal = true
		}
	}
	switch {
	case literal && len(paths) > 0:
		return nil, &PatternError{Pattern: whole, Path: filepath.Join(dir, element), Match: paths[0]}
	case literal:
		return []string{filepath.Join(dir, element)}, nil
	}
	return paths, nil
}
