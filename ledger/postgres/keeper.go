package postgres

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/detach"
	"idem/ledger/postgres/dsn"
	"idem/ledger/postgres/wire"
)

// KeeperArgs are the arguments of a keeper, with the name of the program. They are what ps shows.
var KeeperArgs = []string{"idem-postgres", "keeper"}

// keeper is the state of a keeper process. Its claims are those of ledger.leases.
type keeper struct {
	ledger *Ledger
	here   *local
	hello  *hello
	gone   atomic.Bool   // idem has ended
	wake   chan struct{} // after each change of what is to be done

	deliverer deliverer

	mu     sync.Mutex
	claims map[wire.UUID]*held
}

// serves reports whether this program can be its own keeper: it has called Keeper. The copy of
// another program would do all its work again.
var serves atomic.Bool

// Keeper runs a keeper if the arguments of this process demand it. It returns the exit
// status. The name of the program is not in args. Keeper must be called before anything is
// opened. Without that call, no keeper is started.
func Keeper(args []string) (status int, asked bool) {
	serves.Store(true)
	if len(args) != 1 || args[0] != KeeperArgs[1] {
		return 0, false
	}
	conn, ok := detach.Settle("idem-keeper")
	if !ok {
		return 0, false // typed by a user
	}
	if err := keep(conn); err != nil {
		return 1, true
	}
	return 0, true
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
	o := Options{Lease: h.Lease, KillAfter: h.KillAfter, LocalBase: h.LocalBase, TrustPlace: h.TrustPlace}
	l, err := open(cfg, o)
	if err != nil {
		return nil, err
	}
	sender, err := open(cfg, o)
	if err != nil {
		return nil, err
	}
	here, err := l.openSite(h.Ledger, false)
	if err != nil || here == nil || here.site != h.Site {
		return nil, errors.Join(err, errors.New("the local directory is another one"))
	}
	l.local, sender.local = here, here
	k := &keeper{ledger: l, here: here, hello: h, wake: make(chan struct{}, 1), claims: map[wire.UUID]*held{}}
	k.deliverer.ledger, k.deliverer.runs, k.deliverer.first = sender, map[string]bool{}, map[string]time.Duration{}
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
			if n.Exited {
				s.settled(h)
			}
			s.renewed(h, n.Since)
		case noteRenewed:
			s.renewed(h, n.Since)
		case noteExited:
			s.settled(h)
		case noteDone:
			k.drop(h)
		case noteLeave:
			k.adopt(h)
			k.rouse()
		}
	}
}

// settled notes that idem counts no process of the command any more. It has decided so, whatever the
// keeper knows of the lease, which it may have missed renewals of.
func (s *leases) settled(h *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.exited = true
}

// drop forgets a claim. The caller holds k.mu.
func (k *keeper) drop(h *held) {
	delete(k.claims, h.holder)
	k.ledger.leases.remove(h)
}
