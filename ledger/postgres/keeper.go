package postgres

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger/postgres/dsn"
	"idem/ledger/postgres/wire"
)

// KeeperArgs are the arguments of a keeper, with the name of the program. They are what ps shows.
var KeeperArgs = []string{"idem-postgres", "keeper"}

// keeperFD is the descriptor of a keeper's connection with idem.
const keeperFD = 3

// keeper is the state of a keeper process. Its claims are those of ledger.leases.
type keeper struct {
	ledger *Ledger
	here   *local
	hello  *hello
	gone   atomic.Bool   // idem has ended
	wake   chan struct{} // after each note that changes what is to be done

	mu     sync.Mutex
	claims map[wire.UUID]*held
}

// Keeper runs a keeper if the arguments of this process ask for one, and returns its exit
// status. args are without the name of the program. Keeper must be called before anything is
// opened.
func Keeper(args []string) (status int, asked bool) {
	if len(args) != 1 || args[0] != KeeperArgs[1] {
		return 0, false
	}
	var st unix.Stat_t
	if err := unix.Fstat(keeperFD, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return 0, false // typed by a user
	}
	unix.CloseOnExec(keeperFD)
	closeOthers()
	// It must outlive the signals that a terminal or a service manager sends to idem and to the
	// command. A handler does not reach the programs that a keeper starts.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGPIPE, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM)
	_ = os.WriteFile("/proc/self/comm", []byte("idem-keeper"), 0) // or its name would be exe
	if err := keep(os.NewFile(keeperFD, "idem")); err != nil {
		return 1, true
	}
	return 0, true
}

// closeOthers closes the descriptors that were inherited from the caller of idem, such as locks
// and pipes. Those of Go are closed on exec, and stay.
func closeOthers() {
	entries, err := os.ReadDir("/proc/self/fd")
	fds := make([]int, 0, len(entries))
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			fds = append(fds, n)
		}
	}
	if err != nil {
		for n := range 1024 {
			fds = append(fds, n)
		}
	}
	for _, fd := range fds {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); fd > keeperFD && err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
}

// keep is the keeper of the claims that conn tells of.
func keep(conn *os.File) error {
	r := bufio.NewReader(conn)
	var n note
	if err := read(r, &n); err != nil || n.Hello == nil {
		return errors.Join(err, errors.New("no hello"))
	}
	k, err := newKeeper(n.Hello)
	if err != nil {
		return err
	}
	go k.listen(r)
	k.follow()
	k.deliver()
	return nil
}

func read(r *bufio.Reader, n *note) error {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	*n = note{}
	return json.Unmarshal(line, n)
}

func newKeeper(h *hello) (*keeper, error) {
	os.Clearenv()
	for _, kv := range h.Environ {
		if name, value, ok := strings.Cut(kv, "="); ok && name != "" {
			_ = os.Setenv(name, value)
		}
	}
	cfg, err := dsn.FromPassage(h.Passage)
	if err != nil {
		return nil, err
	}
	l, err := open(cfg, Options{Lease: h.Lease, KillAfter: h.KillAfter, LocalBase: h.LocalBase, TrustPlace: h.TrustPlace})
	if err != nil {
		return nil, err
	}
	here, err := l.openSite(h.Ledger, false)
	if err != nil || here == nil || here.site != h.Site {
		return nil, errors.Join(err, errors.New("the local directory is another one"))
	}
	l.local = here
	k := &keeper{ledger: l, here: here, hello: h, wake: make(chan struct{}, 1), claims: map[wire.UUID]*held{}}
	l.leases.keeper = k
	return k, nil
}

// parent returns the process ID of idem, or 0 after its end.
func (k *keeper) parent() int {
	if k.gone.Load() {
		return 0
	}
	return k.hello.Parent
}

// listen receives the notes until idem has ended.
func (k *keeper) listen(r *bufio.Reader) {
	for {
		var n note
		err := read(r, &n)
		if err == nil {
			k.handle(n)
			continue
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) {
			continue // a note of unknown form
		}
		k.gone.Store(true)
		k.mu.Lock()
		for _, h := range k.claims {
			k.adopt(h)
		}
		k.mu.Unlock()
		k.rouse()
		return
	}
}

func (k *keeper) rouse() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// handle does what a note asks for.
func (k *keeper) handle(n note) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.ledger.leases
	for _, id := range n.Holders {
		h := k.claims[id]
		if h == nil && n.Kind == noteCommand {
			h = &held{id: n.ID, holder: id, length: n.Length, since: n.Since, keep: n.Keep, lost: make(chan struct{}), follower: follower{watched: true}}
			k.claims[id] = h
			s.add(h)
		}
		if h == nil {
			continue
		}
		switch n.Kind {
		case noteCommand:
			s.command(h, n.Run)
			s.renewed(h, n.Since)
		case noteRenewed:
			s.renewed(h, n.Since)
		case noteExited:
			s.exited(h)
		case noteDone:
			k.drop(h)
		case noteLeave:
			k.adopt(h)
			k.rouse()
		}
	}
}

// drop forgets a claim. The caller holds k.mu.
func (k *keeper) drop(h *held) {
	delete(k.claims, h.holder)
	k.ledger.leases.remove(h)
}

// deliver sends the outcomes that idem could not send.
func (k *keeper) deliver() {
	ctx, cancel := context.WithTimeout(context.Background(), deliverFor)
	defer cancel()
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, deliverPause) {
		if _, left, err := k.ledger.deliver(ctx); err == nil && left == 0 {
			return
		}
		k.ledger.session.Close()
		time.Sleep(pause)
	}
}

// The keeper tries for deliverFor to send the outcomes that are kept on this host.
const (
	deliverFor   = 24 * time.Hour
	deliverPause = 5 * time.Minute
)
