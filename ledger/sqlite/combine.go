package sqlite

import "sync"

// maxGroup is the maximum number of requests that are served together. It bounds the time
// for which a group keeps writers of other processes waiting.
const maxGroup = 256

// combiner serves requests that wait at the same time together, in the order in which they
// were made. It has no goroutine: the goroutine of the first request serves all that wait,
// and then passes the rest on to the goroutine of the next one. So a lone request is
// served at once.
type combiner[T any] struct {
	// serve serves the requests that take returns. Requests that are made until it calls
	// take can be among them.
	serve func(take func() []T)

	mu        sync.Mutex
	changed   sync.Cond // waiting or announced has changed
	waiting   []*waiter[T]
	leading   bool // a goroutine serves. While none does, no request waits
	announced int  // see announce
}

// waiter is a request that was not served yet.
type waiter[T any] struct {
	request T
	wake    chan struct{} // nil for a request that was not made to wait
	served  bool          // when wake is closed: the request was served; else its goroutine serves now
}

func newCombiner[T any](serve func(take func() []T)) *combiner[T] {
	c := &combiner[T]{serve: serve}
	c.changed.L = &c.mu
	return c
}

// do returns when the request has been served. a is its announcement, nil if it is not known.
func (c *combiner[T]) do(request T, a *announcement) {
	w := &waiter[T]{request: request}
	c.mu.Lock()
	c.withdrawLocked(a)
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
	for c.announced > 0 && len(c.waiting) < maxGroup {
		c.changed.Wait()
	}
	c.mu.Unlock()
	c.lead()
}

// lead serves a group, of which the first waiter is the one of this goroutine.
func (c *combiner[T]) lead() {
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
		n := min(len(c.waiting), maxGroup)
		group, c.waiting = c.waiting[:n:n], c.waiting[n:]
		requests := make([]T, n)
		for i, w := range group {
			requests[i] = w.request
		}
		return requests
	})
}

// announce says that n requests are about to be made. Until they are made or withdrawn, no
// group is begun, unless enough requests wait.
//
// A request whose announcement is not known counts as one that was announced, and the next
// group may be begun too early. It is never begun too late: there are at most as many
// announcements as announced requests that were neither made nor withdrawn.
func (c *combiner[T]) announce(n int) []announcement {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.announced += n
	return make([]announcement, n)
}

// announcement is one of announce. It ends with the first request for it.
type announcement struct{ over bool }

// withdraw says that an announced request may not be made, or was made. a is as in do.
func (c *combiner[T]) withdraw(a *announcement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.withdrawLocked(a)
}

func (c *combiner[T]) withdrawLocked(a *announcement) {
	if a != nil {
		if a.over {
			return
		}
		a.over = true
	}
	c.announced = max(c.announced-1, 0)
	c.changed.Signal()
}
