package postgres

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/detach"
	"idem/ledger"
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
	wake   chan struct{} // after each note that changes what is to be done

	mu     sync.Mutex
	claims map[wire.UUID]*held
	unsent map[string]bool // attempts whose outcomes idem may not have sent
}

// Keeper runs a keeper if the arguments of this process demand it. It returns the exit
// status. The name of the program is not in args. Keeper must be called before anything is
// opened.
func Keeper(args []string) (status int, asked bool) {
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
	k := &keeper{ledger: l, here: here, hello: h, wake: make(chan struct{}, 1), claims: map[wire.UUID]*held{}, unsent: map[string]bool{}}
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

// deliver sends the outcomes that idem could not send. Those of other calls have their own
// keepers.
func (k *keeper) deliver() {
	ctx, cancel := context.WithTimeout(context.Background(), deliverFor)
	defer cancel()
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, deliverPause) {
		again := false
		for _, name := range k.kept() {
			err := k.ledger.deliverOne(ctx, k.here, name)
			again = again || errors.Is(err, ledger.ErrUnreachable) || errors.Is(err, errLocked)
		}
		if !again {
			return
		}
		k.ledger.session.Close()
		for end := time.Now().Add(pause); time.Now().Before(end) && len(k.kept()) > 0; { // another call may send them
			time.Sleep(min(pause, keptPause))
		}
	}
}

// kept returns the names of the outcomes that idem could not send and that are still kept.
func (k *keeper) kept() []string {
	names, _ := k.here.pending()
	return slices.DeleteFunc(names, func(name string) bool { return len(name) < runLength || !k.unsent[name[:runLength]] })
}

// runLength is the length of a run ID, with which the name of a kept outcome begins.
const runLength = len("00000000-0000-0000-0000-000000000000")

// The keeper tries for deliverFor to send the outcomes that are kept on this host.
const (
	deliverFor   = 24 * time.Hour
	deliverPause = 5 * time.Minute
	keptPause    = 2 * time.Second // between two looks at the directory
)
