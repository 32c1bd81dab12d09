package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"idem/test/internal/rig"
)

// downloads finds and installs the contenders. Downloads go to a cache outside of the
// repository. Debian packages are installed if the user is root.
type downloads struct {
	idem, hello, helper string // built here
	cache               string
	mayInstall          bool
}

// newDownloads builds the programs of this repository into dir.
func newDownloads(dir, idem string, mayInstall bool) (*downloads, error) {
	s := &downloads{idem: idem, mayInstall: mayInstall}
	var err error
	if s.hello, err = rig.Build("./test/bench/hello", filepath.Join(dir, "hello")); err != nil {
		return nil, err
	}
	if s.helper, err = rig.Build("./test/bench/helper", filepath.Join(dir, "helper")); err != nil {
		return nil, err
	}
	if s.cache, err = os.UserCacheDir(); err != nil {
		return nil, err
	}
	s.cache = filepath.Join(s.cache, "idem-bench")
	if mayInstall {
		err = os.MkdirAll(s.cache, 0o700)
	}
	return s, err
}

// debian returns the path of a program. If it is missing, debian installs the Debian
// package where it may.
func (s *downloads) debian(program, pkg string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return filepath.Abs(path)
	}
	if _, e := exec.LookPath("apt-get"); e != nil || os.Getuid() != 0 || !s.mayInstall {
		return "", fmt.Errorf("not installed (Debian package %s)", pkg)
	}
	c := exec.Command("apt-get", "install", "-y", "--no-install-recommends", pkg)
	c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if err := runQuietly(c); err != nil {
		return "", fmt.Errorf("apt-get install %s: %w", pkg, err)
	}
	return exec.LookPath(program)
}

// goInstall returns the path of a program in the cache, installed through the module
// proxy if it is missing.
func (s *downloads) goInstall(pkg, version string) (string, error) {
	dir := filepath.Join(s.cache, filepath.Base(pkg)+"@"+version)
	return s.fetch(filepath.Join(dir, filepath.Base(pkg)), func() error {
		c := exec.Command("go", "install", pkg+"@"+version)
		c.Dir = s.cache // outside of every module
		c.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=")
		if err := runQuietly(c); err != nil {
			return fmt.Errorf("go install %s@%s: %w", pkg, version, err)
		}
		return nil
	})
}

// npm returns the path of a program in the cache, installed by npm if it is missing.
// The program is in a separate package for each platform. It is called directly, not
// through the script of the main package.
func (s *downloads) npm(pkg, version string) (string, error) {
	arch := strings.NewReplacer("amd64", "64").Replace(runtime.GOARCH)
	dir := filepath.Join(s.cache, pkg+"@"+version)
	program := filepath.Join(dir, "node_modules", "@"+pkg, runtime.GOOS+"-"+arch, "bin", pkg)
	return s.fetch(program, func() error {
		c := exec.Command("npm", "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", pkg+"@"+version)
		if err := runQuietly(c); err != nil {
			return fmt.Errorf("npm install %s@%s: %w", pkg, version, err)
		}
		return nil
	})
}

// fetch returns the path of the program, after install if the file is missing.
func (s *downloads) fetch(program string, install func() error) (string, error) {
	if !s.mayInstall {
		return "", errors.New("left out of a quick run")
	}
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	fmt.Fprintln(os.Stderr, "bench: installing", filepath.Base(program))
	if err := install(); err != nil {
		return "", err
	}
	return exec.LookPath(program)
}

// runQuietly runs a command. Its error is the last line that the command wrote.
func runQuietly(c *exec.Cmd) error {
	out, err := c.CombinedOutput()
	if err == nil {
		return nil
	}
	lines := strings.Split(string(bytes.TrimSpace(out)), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return errors.New(last)
	}
	return err
}

// runUnmeasured makes a call that is not measured.
func runUnmeasured(c call) error {
	e := exec.Command(c.argv[0], c.argv[1:]...)
	e.Dir, e.Env = c.dir, c.env
	if err := runQuietly(e); err != nil {
		return fmt.Errorf("%s: %w", join(c.argv), err)
	}
	return nil
}

// runFile runs a command with its output in a file.
func runFile(argv []string, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	c := exec.Command(argv[0], argv[1:]...)
	c.Stdout = f
	return errors.Join(c.Run(), f.Close())
}

// join returns argv as a line for a shell. The arguments in bench need no quotes.
func join(argv []string) string { return strings.Join(argv, " ") }
