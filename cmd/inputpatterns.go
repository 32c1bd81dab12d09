package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// anyDepth is the path element of a pattern that stands for directories of any
// depth, none included.
const anyDepth = "**"

// hasMeta reports whether a path is a pattern as filepath.Match knows them.
func hasMeta(path string) bool { return strings.ContainsAny(path, `*?[\`) }

// goesDeep reports whether a pattern has an element of any depth.
func goesDeep(pattern string) bool {
	return slices.Contains(strings.Split(pattern, "/"), anyDepth)
}

// patternError says that a pattern can be read in two ways or in none, because
// of a bracket in a name.
type patternError struct{ pattern, why string }

func (e *patternError) Error() string { return fmt.Sprintf("%s %s", quote(e.pattern), e.why) }

// escaped is the pattern with its brackets taken for parts of names.
func (e *patternError) escaped() string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`).Replace(e.pattern)
}

// expand returns the paths that match a pattern, sorted. It differs from
// filepath.Glob in three ways: an element ** goes down any number of
// directories, though not by way of links; what cannot be read is an error; and
// brackets in a name that is there are part of the name. Where a name is there
// and other names match it as a pattern, which of the two is meant cannot be
// told: that is a *patternError.
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
		return nil, &patternError{whole, "is not a valid pattern"}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// expandPath is expand for a pattern that may be the first elements of whole.
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
			// The files of every depth match one by one; what is in a directory need
			// not count once more with it.
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

// existing returns a path that is there.
func existing(path string) ([]string, error) {
	_, err := os.Lstat(path)
	if gone(err) {
		return nil, nil
	}
	return []string{path}, err
}

// gone reports whether there is no such path, or one of its directories is none.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// entries reads a directory. It reports false for what is not one.
func entries(dir string) ([]fs.DirEntry, bool, error) {
	// Not opened to find out: a pipe would wait for a writer.
	info, err := os.Stat(dir)
	if gone(err) || err == nil && !info.IsDir() {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	list, err := os.ReadDir(dir)
	if gone(err) { // since it was looked at
		return nil, false, nil
	}
	return list, true, err
}

// directories returns a directory and all below it, without following links. It
// returns none for what is no directory.
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

// expandElement returns the entries of a directory that match one element of a
// pattern and that are fit.
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
		return nil, &patternError{whole, fmt.Sprintf("is both an existing name and a pattern that matches %s", quote(paths[0]))}
	case literal:
		return []string{filepath.Join(dir, element)}, nil
	}
	return paths, nil
}
