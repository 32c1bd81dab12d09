package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// room is the directory of this test process. Its path is short, because the path of a
// unix socket may have 107 bytes only.
type room struct {
	dir   string
	user  *syscall.Credential // of the servers; nil is the user of the test
	alive *os.File            // the guard sees its end
	count atomic.Int64
}

// guard is a shell script with the room as $1. When its standard input ends, it stops
// every process that has a file pid in a directory of the room, and removes the room. A
// paused server does not act on SIGQUIT before SIGCONT. A pid of another program is left
// alone: only a process of the kit has the room among its arguments.
const guard = `trap "" INT TERM HUP
read _
touch "$1/ended"
lives() { case $(ps -o args= -p "$p") in *"$dir"*) ;; *) return 1 ;; esac; }
dir=$1
for f in "$dir"/*/pid; do
	p=$(cat "$f") && lives || continue
	kill -QUIT "$p"
	kill -CONT "$p" $(ps -A -o pid= -o ppid= | while read c pp; do [ "$pp" != "$p" ] || echo "$c"; done)
	n=0
	while lives && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
	! lives || kill -KILL "$p"
done
rm -rf "$dir"
`

// begin is a shell script that becomes the program "$@" after $1 (a directory of the
// room) and $2 (the room). The guard either finds the pid, or began before it was
// written, which the script sees.
const begin = `dir=$1 room=$2; shift 2
echo $$ >"$dir/pid"
[ ! -e "$room/ended" ] || exit 1
exec "$@"
`

// theRoom returns the room, which it makes at the first call.
var theRoom = sync.OnceValues(func() (*room, error) {
	parent := os.TempDir()
	if len(parent) > 40 {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "pgt")
	if err != nil {
		return nil, err
	}
	r := &room{dir: dir}
	rest, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer rest.Close()
	r.alive = alive
	watch := exec.Command("sh", "-c", guard, "sh", dir)
	watch.Stdin = rest
	watch.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := watch.Start(); err != nil {
		return nil, err
	}
	if r.user, err = serverUser(); err != nil {
		return nil, err
	}
	return r, r.give(dir, 0o755)
})

// serverUser returns the user of the servers. PostgreSQL and PgBouncer refuse to run as
// root.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// give makes a path belong to the user of the servers.
func (r *room) give(path string, mode os.FileMode) error {
	if r.user != nil {
		if err := os.Chown(path, int(r.user.Uid), int(r.user.Gid)); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}

// newDir makes a directory for one server.
func (r *room) newDir() (string, error) {
	dir := filepath.Join(r.dir, strconv.FormatInt(r.count.Add(1), 10))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	return dir, r.give(dir, 0o755)
}

// write makes a file that belongs to the user of the servers.
func (r *room) write(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return err
	}
	return r.give(path, 0o600)
}

// command returns a program to be run as the user of the servers.
func (r *room) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = r.dir
	c.Env = environ()
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: r.user}
	return c
}

// run runs a program to its end. Its output is in the error only.
func (r *room) run(name string, args ...string) error {
	out, err := r.command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, out)
	}
	return nil
}
