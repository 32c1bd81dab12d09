package dsn

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// secret is the part of a configuration that no text may contain.
type secret struct {
	password    string   // of the URL, the service or PGPASSWORD
	sslPassword string   // of the key of the client's certificate
	command     string   // prints the password
	files       []string // the passwords of the targets in the password file, when it was last read
}

// hidden returns a secret. Package fmt prints structs behind pointers for some verbs, but
// never the result of a function.
type hidden func() *secret

func hide(s *secret) hidden { return func() *secret { return s } }

// keyPassword returns the password of the key of the client's certificate.
func (s *secret) keyPassword(context.Context) string { return s.sslPassword }

// printed is the output of the password command in one Dial, which may try many addresses.
type printed struct {
	password string
	until    time.Time // the command runs again from then on
}

// printedFor is how long Dial uses an output of the command. Tokens live for minutes.
const printedFor = time.Minute

// password returns the password for the target with an index. Each Dial runs the command
// and reads the password file again: tokens and passwords change while a command runs.
func (c *Config) password(ctx context.Context, i int, p *printed) (password, note string, err error) {
	switch {
	case c.secret().command != "":
		if p.password == "" || time.Now().After(p.until) {
			p.until = time.Now().Add(printedFor)
			p.password, err = runPasswordCommand(ctx, c.secret().command)
		}
		return p.password, "", err
	case c.secret().password != "":
		return c.secret().password, "", nil
	}
	password, note = c.filePassword(i)
	if password == "" && i < len(c.secret().files) {
		password = c.secret().files[i] // the file may have been removed since
	}
	return password, note, nil
}

// readPassfile keeps the passwords of the targets in the password file.
func (c *Config) readPassfile() {
	c.secret().files = nil
	if c.secret().password != "" || c.secret().command != "" {
		return
	}
	for i := range c.targets {
		password, _ := c.filePassword(i)
		c.secret().files = append(c.secret().files, password)
	}
}

// filePassword returns the password of a target in the password file. As in libpq, a
// file that other users can read does not count; the note says so.
func (c *Config) filePassword(i int) (password, note string) {
	file := c.settings["passfile"]
	if file == "" {
		return "", ""
	}
	f, err := os.Open(file)
	if err != nil {
		if os.IsPermission(err) {
			return "", "the password file cannot be read: no permission"
		}
		return "", ""
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return "", "the password file is ignored: it is not a regular file"
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", "the password file is ignored: other users can read it (chmod 600)"
	}
	content, err := io.ReadAll(io.LimitReader(f, 16<<20))
	if err != nil {
		return "", "the password file cannot be read"
	}
	t := c.targets[i]
	hosts := []string{t.host}
	if t.socket() {
		hosts = append(hosts, "localhost")
	}
	for _, host := range hosts {
		for line := range strings.SplitSeq(string(content), "\n") {
			if password, ok := matchPassline(strings.TrimRight(line, "\r"), host, t.port, c.settings["dbname"], c.settings["user"]); ok {
				return password, ""
			}
		}
	}
	return "", ""
}

// matchPassline returns the password of a line host:port:database:user:password, if its
// first fields fit. A field is * or a text with escapes.
func matchPassline(line string, fields ...string) (password string, ok bool) {
	if strings.HasPrefix(line, "#") {
		return "", false
	}
	for _, want := range fields {
		raw, got, rest, found := passField(line)
		if !found || raw != "*" && got != want {
			return "", false
		}
		line = rest
	}
	_, password, _, _ = passField(line)
	return password, password != ""
}

// passField returns the first field of a line, as it stands and without its escapes, and
// the rest behind the colon. It reports whether there is a colon.
func passField(line string) (raw, field, rest string, found bool) {
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == ':':
			return line[:i], b.String(), line[i+1:], true
		case line[i] == '\\' && i+1 < len(line):
			i++
		}
		b.WriteByte(line[i])
	}
	return line, b.String(), "", false
}

// errPassword is the error of a password command. Its output may be a secret, and is not
// a part of it.
type errPassword struct{ text string }

func (e *errPassword) Error() string { return e.text }

// maxPassword is the longest password that a command may print.
const maxPassword = 64 << 10

// runPasswordCommand runs a shell command and returns its output without the last newline.
func runPasswordCommand(ctx context.Context, command string) (string, error) {
	const name = "IDEM_PG_PASSWORD_COMMAND"
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	var out limited
	cmd.Stdout = &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end its children too
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case out.exceeded:
		return "", &errPassword{name + " printed more than a password"}
	case ctx.Err() != nil && err != nil:
		return "", &errPassword{name + " did not end in time"}
	case errors.As(err, &exit) && exit.Exited():
		return "", &errPassword{name + " failed (exit status " + strconv.Itoa(exit.ExitCode()) + ")"}
	case errors.As(err, &exit):
		return "", &errPassword{name + " was ended by a signal"}
	case err != nil:
		return "", &errPassword{name + " could not be run"}
	}
	password := strings.TrimSuffix(string(out.kept), "\n")
	switch {
	case password == "":
		return "", &errPassword{name + " printed nothing"}
	case strings.ContainsRune(password, 0):
		return "", &errPassword{name + " printed NUL"}
	}
	return password, nil
}

// limited is a buffer that keeps at most maxPassword bytes.
type limited struct {
	kept     []byte
	exceeded bool
}

func (l *limited) Write(p []byte) (int, error) {
	if len(l.kept)+len(p) > maxPassword {
		l.exceeded = true
		return 0, io.ErrShortBuffer
	}
	l.kept = append(l.kept, p...)
	return len(p), nil
}
