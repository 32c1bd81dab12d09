package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// export copies the files of the commit HEAD, and reads its time. A release is made of a
// commit, so uncommitted changes are refused.
func (r *release) export() error {
	changes, err := output("", nil, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if changes != "" {
		return fmt.Errorf("a release is made of a commit, but these changes are not committed:\n%s", changes)
	}
	if r.commit, err = output("", nil, "git", "rev-parse", "HEAD"); err != nil {
		return err
	}
	seconds, err := output("", nil, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return err
	}
	r.time = time.Unix(n, 0).UTC()
	if err := os.Mkdir(r.src, 0o755); err != nil {
		return err
	}
	if _, err := output("", nil, "git", "archive", "--format=tar", "--output="+r.src+".tar", "HEAD"); err != nil {
		return err
	}
	_, err = output(r.src, nil, "tar", "-xf", r.src+".tar")
	return err
}

// output runs a program and returns its stdout without the last line feed. env replaces the environment, unless it is nil.
func output(dir string, env []string, name string, args ...string) (string, error) {
	var stderr bytes.Buffer
	c := exec.Command(name, args...)
	c.Dir, c.Stderr = dir, &stderr
	if env != nil {
		c.Env = env
	}
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
