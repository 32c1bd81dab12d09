package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"idem/internal/detach"
	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// A keeper is a copy of this program that outlives the death of idem by KILL. It is told of each
// claim before its command starts. While idem lives, the keeper only watches: if idem is stopped,
// it ends the command before its lease ends. After idem has died, it renews the leases until the
// processes of the commands have ended.

// note is a message to the keeper. Only the fields that belong to the kind are set.
type note struct {
	Kind    string        `json:"k"`
	ID      []byte        `json:"id,omitempty"`
	Holders []wire.UUID   `json:"h,omitempty"`
	Length  time.Duration `json:"l,omitempty"`
	Since   time.Duration `json:"s,omitempty"`
	Run     string        `json:"r,omitempty"`
	Keep    bool          `json:"keep,omitempty"`
	Exited  bool          `json:"x,omitempty"`
	Hello   *hello        `json:"hello,omitempty"`
}

// The kinds of notes.
const (
	noteHello   = "hello"
	noteCommand = "command" // a command is about to start
	noteRenewed = "renewed"
	noteExited  = "exited" // the command has ended by itself, or was not started
	noteDone    = "done"   // the claim is given back
	noteLeave   = "leave"  // the claim is now the keeper's
)

// hello is what a keeper has to know besides the claims. It goes through the socket, because other
// users can read arguments, and processes of this user the environment.
type hello struct {
	Passage    []byte // see dsn.Config.Passage
	LocalBase  string
	TrustPlace bool
	Ledger     wire.UUID
	Site       wire.UUID
	KillAfter  time.Duration
	Lease      time.Duration
	Parent     int      // the process ID of idem
	Environ    []string // for the command that prints a password
}

// keeping is the connection of idem with its keeper. A nil *keeping has no keeper.
type keeping struct {
	ledger *Ledger
	argv   []string

	mu   sync.Mutex
	conn *os.File // nil: not started, or gone
}

// command tells the keeper that a command of the claim is about to start. It starts the keeper if
// it does not run. Without the keeper no command may start.
func (k *keeping) command(h *held) error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	h.kept = true
	if k.conn != nil && k.send(k.notes(h)...) == nil {
		return nil
	}
	if err := k.start(); err != nil {
		return fmt.Errorf("the keeper of the claim cannot be started: %w", err)
	}
	notes := k.notes(k.known()...)
	if !slices.ContainsFunc(notes, func(n note) bool { return n.Holders[0] == h.holder }) { // left already
		notes = append(notes, k.notes(h)...)
	}
	return k.send(notes...)
}

// revive starts a keeper again that has died while commands run.
func (k *keeping) revive() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if known := k.known(); k.conn == nil && len(known) > 0 && k.start() == nil {
		_ = k.send(k.notes(known...)...) // the next renewal tries again
	}
}

// known returns the claims that a keeper must know. The caller holds k.mu.
func (k *keeping) known() (all []*held) {
	s := k.ledger.leases
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.all {
		if h.kept {
			all = append(all, h)
		}
	}
	return all
}

func (k *keeping) notes(claims ...*held) (notes []note) {
	s := k.ledger.leases
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range claims {
		notes = append(notes, noteLocked(h))
	}
	return notes
}

func noteLocked(h *held) note {
	return note{
		Kind: noteCommand, ID: h.id, Holders: []wire.UUID{h.holder}, Length: h.length, Since: h.since, Keep: h.keep,
		Run: h.run, Exited: h.exited, // a revived keeper learns of a command that has ended
	}
}

// renewed tells the keeper that leases were renewed. If it has died, another takes its place.
func (k *keeping) renewed(batch []*held, since time.Duration) {
	if k != nil && !k.tell(note{Kind: noteRenewed, Since: since}, batch...) {
		k.revive()
	}
}

// exited tells the keeper that no process of the command counts any more.
func (k *keeping) exited(h *held) { k.tell(note{Kind: noteExited}, h) }

// done tells the keeper that a claim was given back.
func (k *keeping) done(h *held) { k.tell(note{Kind: noteDone}, h) }

// leave makes a claim the keeper's, if the keeper was told of it. A keeper that has died is replaced.
func (k *keeping) leave(h *held) {
	left := note{Kind: noteLeave}
	if k != nil && !k.tell(left, h) && k.knows(h) && k.command(h) == nil {
		k.tell(left, h)
	}
}

func (k *keeping) knows(h *held) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return h.kept
}

// tell sends a note about claims, as far as the keeper knows them.
func (k *keeping) tell(n note, claims ...*held) bool {
	if k == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range claims {
		if h.kept {
			n.Holders = append(n.Holders, h.holder)
		}
	}
	return k.conn != nil && len(n.Holders) > 0 && k.send(n) == nil
}

// sendTimeout is the time after which a keeper that does not read counts as gone. Another one is
// started then, and the first follows the claims that it knows. So a busy host must not cause it.
const sendTimeout = 5 * time.Second

// send sends notes. With an error the keeper is gone. The caller holds k.mu.
func (k *keeping) send(notes ...note) error {
	var b []byte
	for _, n := range notes {
		line, err := json.Marshal(n)
		if err != nil {
			return err
		}
		b = append(append(b, line...), '\n')
	}
	_ = k.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := k.conn.Write(b); err != nil {
		k.conn.Close()
		k.conn = nil
		return err
	}
	return nil
}

// close ends the connection. A keeper without claims then ends.
func (k *keeping) close() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.conn != nil {
		k.conn.Close()
		k.conn = nil
	}
}

// start starts the keeper. The caller holds k.mu.
func (k *keeping) start() error {
	if !serves.Load() {
		return errors.New("this program has not called Keeper")
	}
	h, err := k.hello()
	if err != nil {
		return err
	}
	if k.conn, err = detach.Start(k.argv); err != nil {
		return err
	}
	return k.send(note{Kind: noteHello, Hello: h})
}

func (k *keeping) hello() (*hello, error) {
	l := k.ledger
	l.mu.Lock()
	here := l.local
	l.mu.Unlock()
	if here == nil {
		return nil, errors.New("the local directory is not open")
	}
	id, err := uuidOf(here)
	// The keeper does not belong to an attempt, and a command that prints a password neither.
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == ledger.RunIDVar || name == ledger.ChainVar || name == ledger.EventVar
	})
	return &hello{
		Passage: l.cfg.Passage(), LocalBase: l.opt.LocalBase, TrustPlace: l.opt.TrustPlace, Ledger: id, Site: here.site,
		KillAfter: l.opt.KillAfter, Lease: l.opt.Lease, Parent: os.Getpid(), Environ: env,
	}, err
}
