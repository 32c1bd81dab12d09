//go:build linux

package shared

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger/postgres/pgtest/proxy"
	"idem/test/chaos/lab"
	"idem/test/chaos/shared/hosts"
	"idem/test/internal/rig"
)

// stage has the hosts: one for the servers, and machines on which idem is called.
type stage struct {
	*lab.Lab
	tools
	db       *hosts.Host
	net      *hosts.Network
	server   *server
	pooler   *pooler
	machines []*machine
	trouble  *faults
	scale    time.Duration // of the work of commands
	log      *os.File      // all events with their times, to read after a fault
	born     time.Time     // of the log

	mu   sync.Mutex
	keys []*key
}

// machine is a host on which idem is called. It reaches the server through a proxy.
type machine struct {
	name  string
	stage *stage
	host  atomic.Pointer[hosts.Host] // another one each time that the machine is switched on
	power sync.RWMutex               // held by a start of a call, and while the machine is off
	proxy *proxy.Proxy
	url   string
	state string // its local directory
}

// role is the role of the calls. It may not change the tables.
const role = "ci"

// raise makes the directories, the hosts and a server, and initialises its ledger. conf
// is more configuration of the server.
func raise(l *lab.Lab, names []string, conf ...string) (s *stage, err error) {
	s = &stage{Lab: l, trouble: &faults{}, scale: 5 * time.Second, born: time.Now()}
	if s.tools, err = findTools(); err != nil {
		return nil, err
	}
	for _, name := range []string{"calls", "keys", "state"} {
		if err := os.MkdirAll(filepath.Join(l.Dir, name), 0o700); err != nil {
			return nil, err
		}
	}
	if s.log, err = os.Create(filepath.Join(l.Dir, "events")); err != nil {
		return nil, err
	}
	if !l.Given {
		if l.Idem, err = rig.Build(".", filepath.Join(l.Dir, "idem-postgres"), "-tags", "postgres,failpoint"); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			s.fall()
		}
	}()
	if s.db, err = hosts.On("db", agent); err != nil {
		return s, rig.Skipped("needs namespaces: " + err.Error())
	}
	if s.net, err = hosts.NewNetwork(s.db); err != nil {
		return s, err
	}
	if s.server, err = newServer(s.tools, s.db, "pg", filepath.Join(l.Dir, "server.log"), conf...); err != nil {
		return s, err
	}
	if s.pooler, err = newPooler(s.server); err != nil {
		return s, err
	}
	for _, name := range names {
		if err := s.add(name); err != nil {
			return s, err
		}
	}
	return s, nil
}

func agent(args ...string) *exec.Cmd { return lab.Child(append([]string{"shared-host"}, args...)...) }

// add switches a machine on.
func (s *stage) add(name string) error {
	m := &machine{name: name, stage: s, state: filepath.Join(s.Dir, "state", name)}
	if err := os.MkdirAll(m.state, 0o700); err != nil {
		return err
	}
	if err := m.on(); err != nil {
		return err
	}
	s.machines = append(s.machines, m)
	return m.connect(s.server.address())
}

// on switches the machine on. Its local directory is that of the time before.
func (m *machine) on() error {
	h, err := hosts.On(m.name, agent)
	if err != nil {
		return err
	}
	m.host.Store(h)
	_, err = m.stage.net.Join(h)
	return err
}

// connect gives the machine a proxy to a server.
func (m *machine) connect(server net.Addr) error {
	err := m.stage.net.Inside(func() (err error) {
		m.proxy, err = proxy.Listen("tcp4", hosts.Router+":0", server)
		return err
	})
	if err == nil {
		m.url = "postgres://" + role + "@" + m.proxy.Addr().String() + "/postgres?sslmode=disable"
	}
	return err
}

// fall switches everything off.
func (s *stage) fall() {
	for _, m := range s.machines {
		m.host.Load().Off()
		if m.proxy != nil {
			_ = m.proxy.Close() // all of its connections are dead
		}
	}
	if s.db != nil {
		s.db.Off()
	}
}

// initLedger makes the tables of a ledger, as the owner.
func (s *stage) initLedger(in *server, m *machine) error {
	if _, err := in.sql("create role " + role + " login"); err != nil {
		return err
	}
	if s.Given { // its ledger may be a table that it makes
		if _, err := in.sql("grant create on schema public to " + role); err != nil {
			return err
		}
	}
	owner := ownerOf(m.url)
	c := m.call("", "init", owner, "ledger", "init", owner, "--grant", role)
	if c.code != 0 {
		return fmt.Errorf("idem ledger init: status %d: %s%s", c.code, c.out(), c.err())
	}
	return nil
}

// ownerOf returns the URL of the owner of the tables.
func ownerOf(url string) string { return strings.Replace(url, role+"@", "postgres@", 1) }

// reply is an ended call of idem.
type reply struct {
	code int // negative: died of that signal
	file string
}

func (r reply) out() string { return lab.Read(r.file + ".out") }
func (r reply) err() string { return lab.Read(r.file + ".err") }

// call calls idem on the machine and waits for its end, at most lab.Patience.
// id is "" for a call whose processes are not to be killed.
func (m *machine) call(id, file, ledger string, args ...string) reply {
	w, err := m.begin(id, file, ledger, args...)
	if err != nil { // the host is off
		return reply{hosts.Dead, filepath.Join(m.stage.Dir, "calls", file)}
	}
	return w.end()
}

// waiter is a call of idem under way.
type waiter struct {
	*hosts.Proc
	m    *machine
	file string
	args []string
}

func (m *machine) begin(id, file, ledger string, args ...string) (*waiter, error) {
	path := filepath.Join(m.stage.Dir, "calls", file)
	for _, end := range []string{".out", ".err"} {
		_ = os.Remove(path + end)
	}
	env := slices.DeleteFunc(m.stage.Environ(ledger, id), func(kv string) bool { return strings.HasPrefix(kv, "PG") })
	env = append(env, "STATE_DIRECTORY="+m.state, "HOME="+m.state, "TMPDIR="+m.state)
	m.power.RLock()
	defer m.power.RUnlock()
	p, err := m.host.Load().Start(hosts.Program{Args: append([]string{m.stage.Idem}, args...), Env: env, Out: path + ".out", Err: path + ".err"})
	return &waiter{p, m, path, args}, err
}

// end waits for the end of the call. It reports a call that hangs, and kills it.
func (w *waiter) end() reply {
	select {
	case <-w.Done():
	case <-time.After(lab.Patience):
		w.m.stage.trouble.add(noHang, "", "%s on %s: %s", strings.Join(w.args, " "), w.m.name, lab.Read(w.file+".err"))
		w.Signal(unix.SIGKILL, true)
	}
	return reply{w.Wait(), w.file}
}

// faults collects broken promises.
type faults struct {
	mu  sync.Mutex
	all []lab.Fault
}

func (f *faults) add(promise, key, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, lab.Fault{Promise: promise, Key: key, What: fmt.Sprintf(format, args...), At: -1})
}

// report prints the figures and the promises, and returns an error for a broken one.
func (s *stage) report(promises ...string) error {
	broken := map[string]int{}
	for _, f := range s.trouble.all {
		broken[f.Promise]++
	}
	for _, p := range promises {
		s.Figures.Count(p, broken[p])
	}
	s.Figures.Print(os.Stdout)
	const shown = 8
	for i, f := range s.trouble.all {
		if i == shown {
			fmt.Printf("\nand %d more\n", len(s.trouble.all)-shown)
			break
		}
		fmt.Printf("\n%s: key %q, %s\n", f.Promise, f.Key, f.What)
	}
	if n := len(s.trouble.all); n > 0 {
		return fmt.Errorf("%d promises broken, the first: %s", n, s.trouble.all[0].Promise)
	}
	return nil
}

var errFew = errors.New("too little happened, so nothing is proved")
