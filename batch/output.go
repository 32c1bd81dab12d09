package batch

import (
	"context"
	"sync"

	"idem/ledger"
	"idem/proc"
)

// Order is the order in which a Printer prints the outputs of items.
type Order int

// The orders.
const (
	// OrderInput is the order in which the items are declared. The output of the first item
	// that has not ended is passed on while its command runs. The outputs of later items are
	// held.
	OrderInput Order = iota
	// OrderDone is the order in which the items end. All output is held until then.
	OrderDone
)

// PrinterOptions are the fixed parts of a Printer.
type PrinterOptions struct {
	Order Order
	// FailedOnly prints the outputs of failed items only.
	FailedOnly bool
	// Ledger has the outputs that memory could not hold, and those of Item.Replay.
	Ledger ledger.Ledger
	// Screen is the way to stdout and stderr.
	Screen *Screen
}

const (
	// heldMax is the most memory for held output. A change of heldStep sets how often garbage
	// is collected.
	heldMax  = 16 << 20
	heldStep = 4 << 20
	// placesMax is the number of items that wait to be printed before Printer.Wait waits.
	placesMax = 100_000
)

// Printer prints the outputs of items, which run at the same time, one after the other.
// A goroutine writes, so a slow reader stops no command while there is memory. If memory
// is used up, further output of items is only counted, and is read from the ledger when
// its turn comes. Output that the ledger does not keep must be held, so its command waits.
// If it waits for an item that does not run, its output precedes the output of that item.
//
// The methods may be called from several goroutines.
type Printer struct {
	o      PrinterOptions
	screen *Screen

	mu      sync.Mutex
	wake    sync.Cond // the writer has something to do
	room    sync.Cond // memory or a place has become free
	first   *Item     // the queue of the items that are to be printed
	last    *Item
	places  int // length of the queue
	waiting int // the number of commands that wait for room
	used    int // bytes of memory for held output
	told    int // the part of them that garbage knows
	most    int // heldMax, except in tests
	closed  bool
	hurry   bool
	dead    [2]bool // by stream: nothing more can be written
	report  Report
	done    chan struct{} // closed when the writer has ended
	started bool          // there is a writer
}

// NewPrinter returns a printer. The caller closes it.
func NewPrinter(o PrinterOptions) *Printer {
	p := &Printer{o: o, screen: o.Screen, most: heldMax, done: make(chan struct{})}
	p.wake.L, p.room.L = &p.mu, &p.mu
	proc.OutlivePipe() // a reader that goes away changes nothing for the items
	return p
}

// Report is how the printing went.
type Report struct {
	// Faults are the write errors of stdout and stderr. A reader that has gone is not an
	// error.
	Faults []error
	// Lacking is the number of items whose printed output lacks bytes. FirstLacking is one
	// of them, and Why is the fault of the ledger, if there was one.
	Lacking      int
	FirstLacking ledger.ID
	Why          error
	// Cut is the number of items of Lacking that lack a part of stdout, if that was to be
	// recorded.
	Cut int
}

// Item declares an item. With OrderInput, the order of the calls is that of the outputs.
// The tag, unless it is empty, is printed at the beginning of each line of the item.
func (p *Printer) Item(id ledger.ID, tag string) *Item {
	it := &Item{p: p, id: id, tag: tag}
	if p.o.Order == OrderInput {
		p.mu.Lock()
		p.append(it)
		p.mu.Unlock()
	}
	return it
}

// Wait waits while very many items wait to be printed behind one that runs. Call it before
// the next item is read, where waiting does not keep earlier items from their end.
func (p *Printer) Wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.room.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.places >= placesMax && (p.first.running || p.first.ended) && ctx.Err() == nil {
		p.room.Wait()
	}
	return ctx.Err()
}

// Hurry lets no command wait for the reader from now on. Output that must be held, and for
// which there is no memory, is lost and reported. A batch that ends its commands calls it.
func (p *Printer) Hurry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hurry = true
	p.room.Broadcast()
}

// Close returns when all output is printed, or when ctx is done. Items that have not ended
// are dropped.
func (p *Printer) Close(ctx context.Context) Report {
	p.mu.Lock()
	p.closed, p.hurry = true, true
	p.wake.Signal()
	p.room.Broadcast()
	started := p.started
	p.mu.Unlock()
	if started {
		select {
		case <-p.done:
		case <-ctx.Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.report
}

// Item is the output of one item of a batch.
type Item struct {
	p   *Printer
	id  ledger.ID
	tag string

	before, after *Item // in the queue
	queued        bool
	begun         bool // a part of the output is on its way to the reader
	running       bool // an attempt is in progress
	waits         bool // the attempt waits for room
	ended         bool
	replay        bool    // the output is that of the record
	lost          [2]bool // by stream: a part of the output could not be held
	lacking       bool    // the item is counted in Report.Lacking
	cut           bool    // the item is counted in Report.Cut

	run    string   // the current attempt
	keeps  int64    // the number of bytes, from its first on, that the ledger keeps of it
	count  [2]int64 // by stream: bytes of the attempt
	unheld bool     // further output is not held, but read from the ledger
	oldest *block   // the output
	newest *block
}

// Attempt begins the next attempt of the item. maxOutput is Start.MaxOutput.
func (it *Item) Attempt(runID string, maxOutput int64) {
	it.p.mu.Lock()
	defer it.p.mu.Unlock()
	it.run, it.running, it.count = runID, true, [2]int64{}
	switch {
	case it.p.o.Ledger == nil:
	case maxOutput < 0:
		it.keeps = 1<<63 - 1
	default:
		it.keeps = maxOutput / 2
	}
}

// Write adds output to the current attempt: what the ledger records of it, after redaction.
// It keeps no reference to b.
func (it *Item) Write(s ledger.Stream, b []byte) { it.p.write(it, s, b) }

// Pause says that the attempt is over, or did not start, and that another may follow.
func (it *Item) Pause() { it.p.pause(it) }

// End ends the item after its outcome is durable.
func (it *Item) End(failed bool) { it.p.end(it, failed || !it.p.o.FailedOnly) }

// Drop ends the item, and drops the output that is not printed yet.
func (it *Item) Drop() { it.p.end(it, false) }

// Replay ends an item that did not run. The output of its record is printed in its place.
// With OrderDone, that is now; so an item that is running must end first.
func (it *Item) Replay() {
	it.p.mu.Lock()
	it.replay = it.p.o.Ledger != nil
	it.p.mu.Unlock()
	it.p.end(it, true)
}
