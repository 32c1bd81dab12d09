package batch

import "time"

// pace is a token bucket of one: two starts are at least an interval apart. The zero
// pace permits any.
type pace struct {
	interval time.Duration
	next     time.Time // the earliest time of the next start
}

// due returns how long after now a start is permitted.
func (p *pace) due(now time.Time) time.Duration { return max(0, p.next.Sub(now)) }

// start notes a start.
func (p *pace) start(now time.Time) {
	if p.interval > 0 {
		p.next = now.Add(p.interval)
	}
}

// throttle limits the slots while the system has no room for further processes. A start
// that fails for lack of room halves the slots and delays the next start. The delay
// doubles with each such failure. Later the slots grow back, one at a time.
type throttle struct {
	slots int           // the usable ones
	most  int           // slots at the beginning
	delay time.Duration // of the latest failure
	until time.Time     // nothing starts earlier
	grow  time.Time     // when the next slot may come back
}

const (
	firstDelay = 100 * time.Millisecond
	lastDelay  = 10 * time.Second
	growAfter  = time.Second
	busyDelay  = time.Second
)

// pause delays the next start, unless it is delayed already. It reports which.
func (t *throttle) pause(now time.Time) bool {
	if t.due(now) > 0 {
		return false
	}
	t.until = now.Add(busyDelay)
	return true
}

// full notes a start that failed while running other commands ran. If several starts fail at
// the same time, the first one counts. full reports whether this one does.
func (t *throttle) full(now time.Time, running int) bool {
	if t.due(now) > 0 {
		return false
	}
	t.slots = max(1, min(t.slots, running+1)/2)
	t.delay = min(max(2*t.delay, firstDelay), lastDelay)
	t.until = now.Add(t.delay)
	t.grow = t.until.Add(growAfter)
	return true
}

// started notes a command that has been started.
func (t *throttle) started(now time.Time) {
	if now.Before(t.grow) {
		return
	}
	t.slots = min(t.slots+1, t.most)
	t.delay = 0
	t.grow = now.Add(growAfter)
}

// due returns how long after now a start is permitted.
func (t *throttle) due(now time.Time) time.Duration { return max(0, t.until.Sub(now)) }
