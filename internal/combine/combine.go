// Package combine serves requests that wait at the same time together.
package combine

import (
	"context"
	"sync"
)

// MaxGroup is the maximum number of requests that are served together. It bounds the time
// for which a group keeps writers of other processes waiting.
const MaxGroup = 256

// Combiner serves requests that wait at the same time together, in the order in which they
// were made. It has no goroutine: the goroutine of the first request serves all that wait,
// and then passes the rest on to the goroutine of the next one. So a lone request is
// served at once.
type Combiner[T any] struct {
	// serve serves the requests that take returns. Requests that are made until it calls
	// take can be among them.
	serve func(take func() []T)

	mu        sync.Mutex
	changed   sync.Cond // waiting or announced has changed
	waiting   []*waiter[T]
	leading   bool // a goroutine serves. While none does, no request waits
	announced int  // see Announce
}

// waiter is a request that was not served yet.
type waiter[T any] struct {
	request T
	wake    chan struct{} // nil for a request that was not made to wait
	served  bool          // when wake is closed: the request was served; else its goroutine serves now
}

// New returns a combiner. See Combiner.serve for the argument.
func New[T any](serve func(take func() []T)) *Combiner[T] {
	c := &Combiner[T]{serve: serve}
	c.changed.L = &c.mu
	return c
}

// Do returns when the request has been served. a is its announcement, nil if it is not known.
func (c *Combiner[T]) Do(request T, a *Announcement) {
	w := &waiter[T]{request: request}
	c.mu.Lock()
	c.withdrawNow(a)
	c.waiting = append(c.waiting, w)
	if c.leading {
		w.wake = make(chan struct{})
		c.mu.Unlock()
		<-w.wake
		if w.served {
			return
		}
		c.mu.Lock()
	}
	c.leading = true
	for c.announced > 0 && len(c.waiting) < MaxGroup {
		c.changed.Wait()
	}
	c.mu.Unlock()
	c.lead()
}

// lead serves a group, of which the first waiter is the one of this goroutine.
func (c *Combiner[T]) lead() {
	var group []*waiter[T]
	defer func() { // also when serve panics
		c.mu.Lock()
		if group == nil {
			c.waiting = c.waiting[1:]
		}
		var next *waiter[T]
		if c.leading = len(c.waiting) > 0; c.leading {
			next = c.waiting[0]
		}
		c.mu.Unlock()
		if next != nil {
			close(next.wake)
		}
		for i, w := range group {
			if i > 0 {
				w.served = true
				close(w.wake)
			}
		}
	}()
	c.serve(func() []T {
		c.mu.Lock()
		defer c.mu.Unlock()
		n := min(len(c.waiting), MaxGroup)
		group, c.waiting = c.waiting[:n:n], c.waiting[n:]
		requests := make([]T, n)
		for i, w := range group {
			requests[i] = w.request
		}
		return requests
	})
}

// Announce says that n requests are about to be made. Until they are made or withdrawn, no
// group is begun, unless enough requests wait.
//
// A request whose announcement is not known counts as one that was announced, and the next
// group may be begun too early. It is never begun too late: there are at most as many
// announcements as announced requests that were neither made nor withdrawn.
func (c *Combiner[T]) Announce(n int) []Announcement {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.announced += n
	all := make([]Announcement, n)
	for i := range all {
		all[i].of = c
	}
	return all
}

// Announcement is one of Announce. It ends with the first request for it. A request to another
// combiner does not end it: a change may use two.
type Announcement struct {
	of   any // the combiner
	over bool
}

// Withdraw says that an announced request may not be made, or was made. a is as in Do.
func (c *Combiner[T]) Withdraw(a *Announcement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.withdrawNow(a)
}

func (c *Combiner[T]) withdrawNow(a *Announcement) {
	if a != nil {
		if a.of != any(c) || a.over {
			return
		}
		a.over = true
	}
	c.announced = max(c.announced-1, 0)
	c.changed.Signal()
}

// announced is the key of a context whose value is an *Announcement.
type announced struct{}

// AnnouncementIn returns the announcement of the change that Together has called with ctx, or
// nil.
func AnnouncementIn(ctx context.Context) *Announcement {
	a, _ := ctx.Value(announced{}).(*Announcement)
	return a
}

// Together calls all changes at the same time, the last one in the goroutine of the caller, and
// returns when all have returned. It announces one request of each to c. See
// ledger.Grouping.Together.
func Together[T any](ctx context.Context, c *Combiner[T], changes ...func(ctx context.Context)) {
	announcements := c.Announce(len(changes))
	var all sync.WaitGroup
	defer all.Wait()
	for i, change := range changes {
		make := func() {
			a := &announcements[i]
			defer c.Withdraw(a) // it may have requested nothing
			change(context.WithValue(ctx, announced{}, a))
		}
		if i < len(changes)-1 {
			all.Go(make)
		} else {
			make() // a new goroutine would have to grow its stack
		}
	}
}
