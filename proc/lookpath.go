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

// These are the exit statuses for a command that could not be started.
const (
	CannotRun = 126
	NotFound  = 127
)

// StartError says that the command could not be started. Nothing ran. Code is 127 if
// the command was not found, and 126 if it was found but could not be executed.
type StartError struct {
	Name string // as the user typed it
	File string // the file found for the name; empty if there is none
	Code int
	Err  error
}

func (e *StartError) Error() string { return fmt.Sprintf("%s: %v", e.Name, e.Err) }
func (e *StartError) Unwrap() error { return e.Err }

var errNotFound = errors.New("command not found")

// LookPath finds the file of a command, as execvp(3) does. A name with a slash is a
// path. Any other name is looked up in PATH, where an empty entry and "." mean the
// current directory. An error is a *StartError.
func LookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		if err := executable(name); err != nil {
			return "", &StartError{Name: name, File: name, Code: codeOf(err), Err: err}
		}
		return name, nil
	}
	path, set := os.LookupEnv("PATH")
	if !set {
		path = "/bin:/usr/bin" // the default of execvp
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
		// As execvp does: a later entry may have an executable file. If none has,
		// this error is more useful than "not found".
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

// executable returns the error why this user cannot execute a file, or nil. It does
// not detect every reason: only exec does.
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
		return nil // a sandbox or an old kernel: exec returns the error
	}
	return err
}

// isDirectory is the EACCES that exec returns for a directory, with a better message.
type isDirectory struct{}

func (isDirectory) Error() string { return "is a directory" }
func (isDirectory) Unwrap() error { return unix.EACCES }

// explain turns an error of exec into a StartError. ENOENT for a file that exists is
// about its interpreter.
func (c *Command) explain(err error) error {
	e := &StartError{Name: c.name(), File: c.Path, Code: codeOf(err), Err: err}
	if errors.Is(err, unix.ENOENT) && executable(c.Path) == nil {
		e.Code = CannotRun
		e.Err = errors.New("its program loader was not found")
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

// Shebang returns the words in the first line of a script as the kernel reads them:
// the interpreter and at most one argument. For any other file, words is nil.
//
// text reports whether a shell may read the file, as POSIX permits. A file whose
// first line has a NUL is a binary.
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

// firstLine returns the first line of a file, without its newline and at most 4096
// bytes. It returns "" if the file is not a regular file, because opening a fifo
// would block.
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
