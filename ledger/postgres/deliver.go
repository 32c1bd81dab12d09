package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"idem/ledger"
	"idem/ledger/filelock"
)

// deliverer sends outcomes that are kept on this host, for a keeper. A large outcome can take long,
// so it has a separate connection.
type deliverer struct {
	ledger *Ledger

	mu    sync.Mutex
	runs  map[string]bool          // attempts of claims that the keeper has given up or back
	first map[string]time.Duration // by name: when the first try began, in the time of sinceBoot
	busy  bool
	last  time.Duration // the end of the last try
	pause time.Duration // after it; 0: it has sent all
}

// The keeper tries for deliverFor to send an outcome. The pauses between two tries grow up to
// deliverPause.
const (
	deliverFor   = 24 * time.Hour
	deliverPause = 10 * time.Second
	keptPause    = 2 * time.Second // between two looks at the directory
)

// runLength is the length of a run ID, with which the name of a kept outcome begins.
const runLength = len("00000000-0000-0000-0000-000000000000")

// add gives the outcome of an attempt to the keeper, even if another call has the key.
func (d *deliverer) add(run string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs[run] = true
}

// givenUp reports whether the keeper tries no longer to send a kept outcome.
func (d *deliverer) givenUp(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	first, tried := d.first[name]
	return tried && sinceBoot() >= first+deliverFor
}

// tried notes a try that began at the given time.
func (d *deliverer) tried(name string, began time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if first, again := d.first[name]; again {
		began = first
	}
	if errors.Is(err, ledger.ErrCorrupt) || errors.Is(err, ledger.ErrVersion) || errors.Is(err, errForgotten) { // a person decides
		began = sinceBoot() - deliverFor
	}
	d.first[name] = began
}

// start begins a try unless one is in progress or the pause is not over.
func (d *deliverer) start() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy || sinceBoot() < d.last+d.pause {
		return false
	}
	d.busy = true
	return true
}

func (d *deliverer) end(failed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy, d.last = false, sinceBoot()
	if !failed {
		d.pause = 0
		return
	}
	d.pause = min(max(2*d.pause, time.Second), deliverPause)
}

// deliver begins to send the outcomes of attempts whose claims the keeper follows or has followed,
// and those of the keys that it follows. It reports whether there are any.
func (k *keeper) deliver(followed []*held) bool {
	names, _ := k.here.pending()
	names = slices.DeleteFunc(names, func(name string) bool {
		k.deliverer.mu.Lock()
		ours := len(name) >= runLength && k.deliverer.runs[name[:runLength]]
		k.deliverer.mu.Unlock()
		ours = ours || slices.ContainsFunc(followed, func(h *held) bool { return strings.HasSuffix(name, pendingOf(h.name())) })
		return !ours || k.deliverer.givenUp(name)
	})
	if len(names) > 0 && k.deliverer.start() {
		go func() {
			k.deliverer.end(k.send(names))
			k.due(followed)
			k.rouse()
		}()
	}
	return len(names) > 0
}

// due makes follow look at claims at once, because their outcomes may be sent or given up.
func (k *keeper) due(claims []*held) {
	s := k.ledger.leases
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range claims {
		h.retry = 0
	}
}

// send sends kept outcomes, and reports whether one of them must be tried again.
func (k *keeper) send(names []string) (again bool) {
	for _, name := range names {
		began := sinceBoot()
		err := k.deliverer.ledger.deliverOne(context.Background(), k.here, name)
		if err == nil {
			continue
		}
		k.deliverer.tried(name, began, err)
		again = again || !k.deliverer.givenUp(name)
		if errors.Is(err, ledger.ErrUnreachable) {
			break
		}
	}
	if again {
		k.deliverer.ledger.session.Close()
	}
	return again
}

// errKept: an outcome of the key is still kept.
var errKept = errors.New("an outcome is kept")

// delivered returns errKept while the keeper tries to send an outcome of a key. It reports whether
// it has given one up.
func (k *keeper) delivered(key filelock.Name) (givenUp bool, err error) {
	names, err := k.here.pending()
	for _, name := range names {
		switch {
		case !strings.HasSuffix(name, pendingOf(key)):
		case k.deliverer.givenUp(name):
			givenUp = true
		default:
			err = errKept
		}
	}
	return givenUp, err
}
