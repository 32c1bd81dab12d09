package batch

import "time"

// Standing is how far a batch has come.
type Standing struct {
	Settled int // items of the input that need nothing more from this call
	Before  int // of Settled: done before this call
	Failed  int // of Settled: failed
	Running int
	Ran     int // items whose command has ended in this call

	Read      int   // items that were read
	ReadBytes int64 // of the input
	Size      int64 // of the input in bytes; 0: unknown
	AllRead   bool  // Read is the number of all items
}

// ProgressMode is how progress is shown.
type ProgressMode int

// The modes.
const (
	ProgressNone  ProgressMode = iota
	ProgressBar                // one line on a terminal, which is drawn again and again
	ProgressLines              // a line every 30 seconds
)

// every is the time between two looks at the batch.
func (m ProgressMode) every() time.Duration {
	if m == ProgressBar {
		return 100 * time.Millisecond
	}
	return 30 * time.Second
}

// ProgressOptions are the fixed parts of a Progress.
type ProgressOptions struct {
	Mode     ProgressMode
	Name     string          // of the batch, safe to print
	Standing func() Standing // is called by another goroutine
	Screen   *Screen
	// Now and Tick replace the clock in tests.
	Now  func() time.Time
	Tick func(every time.Duration) (ticks <-chan time.Time, stop func())
}

// Progress shows how far a batch has come.
type Progress struct {
	quit, done chan struct{}
}

// ShowProgress begins to show progress. The caller stops it.
func ShowProgress(o ProgressOptions) *Progress {
	p := &Progress{make(chan struct{}), make(chan struct{})}
	if o.Mode == ProgressNone {
		close(p.done)
		return p
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tick == nil {
		o.Tick = func(every time.Duration) (<-chan time.Time, func()) {
			t := time.NewTicker(every)
			return t.C, t.Stop
		}
	}
	go p.show(o)
	return p
}

// Stop ends the showing, and erases the line of ProgressBar.
func (p *Progress) Stop() {
	close(p.quit)
	<-p.done
}

func (p *Progress) show(o ProgressOptions) {
	defer close(p.done)
	ticks, stop := o.Tick(o.Mode.every())
	defer stop()
	var speed speed
	for {
		select {
		case <-p.quit:
			o.Screen.draw("")
			return
		case <-ticks:
		}
		at := o.Standing()
		text := progressText(o.Name, at, speed.of(o.Now(), at))
		if o.Mode == ProgressBar {
			o.Screen.draw(text)
		} else {
			_, _ = o.Screen.Write([]byte("idem: " + text + "\n"))
		}
	}
}

// speed measures how many commands end in a second.
type speed struct {
	start   sample // when the first command ran
	recent  []sample
	last    sample // when the latest command ended
	started bool
}

type sample struct {
	at  time.Time
	ran int
}

const (
	// recently is how far back the speed is measured.
	recently = 20 * time.Second
	// enough is the number of commands that a measurement requires. If fewer have ended
	// recently, all commands of the call count.
	enough = 10
)

// of returns the number of commands that end in a second, 0 if it is unknown.
func (s *speed) of(now time.Time, at Standing) float64 {
	if !s.started {
		if at.Running == 0 && at.Ran == 0 {
			return 0
		}
		s.start, s.started = sample{now, at.Ran}, true
		s.last = s.start
	}
	if at.Ran != s.last.ran {
		s.last = sample{now, at.Ran}
	}
	for len(s.recent) > 1 && now.Sub(s.recent[1].at) >= recently {
		s.recent = s.recent[1:]
	}
	if n := len(s.recent); n == 0 || now.Sub(s.recent[n-1].at) >= recently/20 {
		s.recent = append(s.recent, sample{now, at.Ran})
	}
	from := s.recent[0]
	if at.Ran-from.ran < enough {
		from = s.start
	}
	n := float64(at.Ran - from.ran)
	// The speed stays the same until the next command should have ended.
	took := max(s.last.at.Sub(from.at).Seconds(), now.Sub(from.at).Seconds()*n/(n+1))
	if n == 0 || took <= 0 {
		return 0
	}
	return n / took
}
