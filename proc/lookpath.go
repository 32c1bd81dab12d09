package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The exit statuses of a command that could not be started.
const (
	CannotRun = 126
	NotFound  = 127
)

// StartError tells that the command could not be started; nothing ran. Code is
// 127 when it was not found, and 126 when it was but cannot be executed, for
// whatever reason.
type StartError struct {
	Name string // as the user typed it
	File string // that was found by the name; empty if none was
	Code int
	Err  error
}

func (e *StartError) Error() string { return fmt.Sprintf("%s: %v", e.Name, e.Err) }
func (e *StartError) Unwrap() error { return e.Err }

var errNotFound = errors.New("command not found")

// LookPath finds the command as execvp(3) would: a name with a slash is a path,
// another is looked up in PATH, where an empty entry and "." mean the current
// directory. Errors are *StartError.
func LookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		if err := executable(name); err != nil {
			return "", &StartError{Name: name, File: name, Code: codeOf(err), Err: err}
		}
		return name, nil
	}
	path, set := os.LookupEnv("PATH")
	if !set {
		path = "/bin:/usr/bin" // what execvp takes then
	}
	found, in := errNotFound, ""
	for dir := range strings.SplitSeq(path, ":") {
		if name == "" {
			break
		}
		if dir == "" {
			dir = "."
		}
		file := dir + "/" + name
		err := executable(file)
		if err == nil {
			return file, nil
		}
		// As execvp: a later entry may be better, but if none is, this says more
		// than "not found".
		if errors.Is(err, unix.EACCES) && errors.Is(found, errNotFound) {
			found, in = fmt.Errorf("%s: %w", file, err), file
		}
	}
	return "", &StartError{Name: name, File: in, Code: codeOf(found), Err: found}
}

func codeOf(err error) int {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, errNotFound) {
		return NotFound
	}
	return CannotRun
}

// executable tells why a file cannot be executed by this user, as far as one
// can tell without trying.
func executable(file string) error {
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return isDirectory{}
	}
	err := unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS)
	if err == unix.ENOSYS || err == unix.EPERM || err == unix.EINVAL {
		return nil // a sandbox or an old kernel: exec will tell
	}
	return err
}

// isDirectory is the EACCES that exec gives for a directory, in better words.
type isDirectory struct{}

func (isDirectory) Error() string { return "is a directory" }
func (isDirectory) Unwrap() error { return unix.EACCES }

// explain turns what exec said into a StartError. ENOENT for a file that is
// there is about its interpreter.
func (c *Command) explain(err error) error {
	e := &StartError{Name: c.name(), File: c.Path, Code: codeOf(err), Err: err}
	if errors.Is(err, unix.ENOENT) && executable(c.Path) == nil {
		e.Code = CannotRun
		e.Err = errors.New("the program loader that it needs was not found")
	}
	if words, _ := Shebang(c.Path); len(words) > 0 && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES)) {
		if ierr := executable(words[0]); ierr != nil {
			e.Err = fmt.Errorf("its interpreter %q: %w", words[0], ierr)
		}
		if strings.HasSuffix(words[0], "\r") {
			e.Err = fmt.Errorf("%w (its first line ends with a carriage return, as on Windows)", e.Err)
		}
	}
	if errors.Is(err, syscall.E2BIG) {
		e.Err = fmt.Errorf("%w (arguments and environment)", err)
	}
	return e
}

// Shebang returns what a script names in its first line, as the kernel reads it:
// its interpreter and one argument at most; nothing for any other file. It
// reports whether a shell may be asked to read the file, as POSIX permits: a
// binary has a NUL in what would be its first line.
func Shebang(file string) (words []string, text bool) {
	first := firstLine(file)
	text = !strings.Contains(first, "\x00")
	line, ok := strings.CutPrefix(first, "#!")
	if !ok {
		return nil, text
	}
	line = strings.Trim(line, " \t")
	name, arg := line, ""
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		name, arg = line[:i], strings.TrimLeft(line[i:], " \t")
	}
	if name == "" {
		return nil, text
	}
	if arg == "" {
		return []string{name}, text
	}
	return []string{name, arg}, text
}

func isText(file string) bool {
	_, text := Shebang(file)
	return text
}

// firstLine returns the beginning of a file without the line's end. It is ""
// for what is not a regular file: opening a fifo would block.
func firstLine(file string) string {
	if st, err := os.Stat(file); err != nil || !st.Mode().IsRegular() {
		return ""
	}
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, 4096)).ReadString('\n')
	return strings.TrimSuffix(line, "\n")
}
