package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"idem/jobs"
	"idem/ledger"
)

// Options say what a report contains. Zero fields of Options.Options do not restrict it.
type Options struct {
	jobs.Options // without By
	Now          time.Time
	// MaxRuns is how many attempts a page has; older ones are only counted. At least 1.
	MaxRuns int
	// OutputLines is how many lines of output a page has about a key that did not succeed.
	OutputLines int
	// Args adds the command lines and the names of inputs. It costs a Get for each key.
	Args bool
	// Text makes a text of a ledger safe to show.
	Text func(string) string
	// Command returns a line for a shell: a command of idem about a record.
	Command func(id ledger.ID, words ...string) string
	// Tail returns the last n lines of an output, safe to show.
	Tail func(ctx context.Context, id ledger.ID, runID string, n int) ([]string, error)
	// Inputs returns the command line of an attempt and its other inputs, to be shown.
	Inputs func(ledger.Attempt) (command, others string)
}

const (
	// maxConcerns is how many concerns a page has.
	maxConcerns = 200
	// maxDetails is how many keys that did not succeed have details.
	maxDetails = 200
)

// Collect reads a ledger. The errors are those of the ledger.
func Collect(ctx context.Context, l Ledger, o Options) (*Report, error) {
	c := &collector{
		Options: o, ledger: l, old: map[dayOfLane]*Day{}, keys: map[ledger.ID]int32{}, hosts: table{},
		good: map[windowless]success{}, recurring: map[jobs.Lane]*recurrence{},
	}
	o.Earlier = c.takeEarlier
	sum, err := jobs.Walk(ctx, l, o.Options, c.take)
	if err != nil {
		return nil, err
	}
	c.trim(o.MaxRuns)
	r := &Report{Made: o.Now, From: o.Since, To: o.Until, Phases: ledger.Tally{}, LateUnknown: !o.Until.IsZero()}
	if sum.Oldest.After(r.From) && sum.Outside == 0 { // the ledger is younger than the range
		r.From = sum.Oldest.Truncate(time.Minute)
	}
	if r.From.IsZero() {
		r.From = o.Now.Add(-24 * time.Hour)
	}
	if r.To.IsZero() {
		r.To = o.Now
	}
	if sum.Newest.After(r.To) { // the clock was set back
		r.To = sum.Newest.Add(time.Second)
	}
	for _, tally := range sum.Keys {
		r.Phases.Add(tally)
	}
	for _, j := range sum.Lanes {
		lane := Lane{Job: *j}
		lane.Name, lane.Namespace = o.Text(lane.Name), o.Text(lane.Namespace)
		r.Lanes = append(r.Lanes, lane)
	}
	c.findConcerns(ctx, r)
	if err := c.addKeys(ctx, r); err != nil {
		return nil, err
	}
	r.Runs = c.runs
	for _, day := range c.old {
		r.Old = append(r.Old, *day)
	}
	slices.SortFunc(r.Old, func(a, b Day) int { return cmp.Or(cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Day, b.Day)) })
	r.Hosts = c.hosts.list()
	c.addFoot(r, sum.Outside)
	return r, nil
}

// Ledger is what a report needs of a ledger.
type Ledger interface {
	ledger.Ledger
	ledger.Histories
}

// collector gathers the runs of a walk. It has at most twice MaxRuns of them in memory.
type collector struct {
	Options
	ledger Ledger
	runs   []Run
	list   []record            // by Run.Key
	keys   map[ledger.ID]int32 // into list
	old    map[dayOfLane]*Day
	hosts  table
	good   map[windowless]success
	// before has the keys whose latest attempt began before the range, and which did not succeed.
	before    []record
	recurring map[jobs.Lane]*recurrence
	forgotten int // failed keys that were too many to keep
}

type dayOfLane struct {
	lane int
	day  int64
}

const dayMillis = 24 * 60 * 60 * 1000

// take adds a run.
func (c *collector) take(run jobs.Run) {
	key, ok := c.keys[run.ID]
	if !ok {
		key = int32(len(c.list))
		c.keys[run.ID] = key
		c.list = append(c.list, record{id: run.ID, lane: run.Lane})
	}
	if rec := run.Record; rec != nil {
		c.list[key].set(rec)
	} else { // its latest attempt may be after the range
		c.list[key].state = stateOf(run.Result)
	}
	c.succeededAt(run)
	c.recur(run)
	one := Run{
		Key: key, Number: int32(run.Number), Start: run.Start.UnixMilli(), Took: -1, State: stateOf(run.Result), Inner: run.Inner,
		Host: int32(c.hosts.index(c.Text(run.Host))), Exit: int16(run.Exit),
	}
	if run.Took >= 0 {
		one.Took = run.Took.Milliseconds()
	}
	c.runs = append(c.runs, one)
	if len(c.runs) >= 2*c.MaxRuns {
		c.trim(c.MaxRuns)
	}
}

// trim sorts the runs, and sums up all but the latest n by lane and day. It forgets the keys
// that have no runs then, unless they did not succeed.
func (c *collector) trim(n int) {
	slices.SortFunc(c.runs, func(a, b Run) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Key, b.Key)) })
	drop := len(c.runs) - n
	if drop <= 0 {
		return
	}
	for _, r := range c.runs[:drop] {
		c.sumUp(r)
	}
	c.runs = slices.Delete(c.runs, 0, drop)
	kept := make([]bool, len(c.list))
	for _, r := range c.runs {
		kept[r.Key] = true
	}
	was := c.list
	// The last record may have more runs to come.
	c.list = c.withoutOldest(was, func(i int) bool { return kept[i] || i == len(was)-1 })
	c.keys = make(map[ledger.ID]int32, len(c.list))
	for i, k := range c.list {
		c.keys[k.id] = int32(i)
	}
	for i := range c.runs {
		c.runs[i].Key = c.keys[was[c.runs[i].Key].id]
	}
}

func (c *collector) sumUp(r Run) {
	if r.Inner || r.State == marked {
		return
	}
	at := dayOfLane{c.list[r.Key].lane, r.Start / dayMillis}
	day := c.old[at]
	if day == nil {
		day = &Day{Lane: at.lane, Day: at.day}
		c.old[at] = day
	}
	day.Runs++
	day.Longest = max(day.Longest, r.Took)
	switch r.State {
	case failed, timeout:
		day.Failed++
	case interrupted:
		day.Lost++
	}
}

// addKeys adds the keys to the report, and details about those that did not succeed.
func (c *collector) addKeys(ctx context.Context, r *Report) error {
	details := 0
	for _, k := range slices.Backward(c.list) {
		one := Key{Name: c.Text(k.id.Key), Window: c.Text(k.id.Window), Lane: k.lane, State: k.state, Below: k.below}
		if k.current != nil {
			one.Details = &Details{Note: c.Text(k.current.note), Bytes: k.current.bytes}
			if details++; details <= maxDetails {
				one.Details.Commands = c.commands(k.id, k.state)
				one.Details.Tail = c.tail(ctx, k)
			}
		}
		if c.Args {
			if err := c.addInputs(ctx, k.id, &one); err != nil {
				return err
			}
		}
		r.Keys = append(r.Keys, one)
	}
	slices.Reverse(r.Keys)
	return nil
}

func (c *collector) addInputs(ctx context.Context, id ledger.ID, k *Key) error {
	rec, err := c.ledger.Get(ctx, id)
	if err != nil {
		return err
	}
	if k.Details == nil {
		k.Details = &Details{}
	}
	k.Details.Args, k.Details.Inputs = c.Inputs(rec.Current)
	return nil
}

// tail returns the last lines of the output of a key that did not succeed.
func (c *collector) tail(ctx context.Context, k record) string {
	at := k.current
	if c.OutputLines == 0 || at.noOutput || at.number == 0 {
		return ""
	}
	lines, err := c.Tail(ctx, k.id, at.runID, c.OutputLines)
	if err != nil { // the rest of the page is of use
		return "(the recorded output cannot be read: " + c.Text(err.Error()) + ")"
	}
	return strings.Join(lines, "\n")
}

// commands returns what a person may do about a key.
func (c *collector) commands(id ledger.ID, state State) []Command {
	list := []Command{{"its output", c.Command(id, "logs")}}
	switch state {
	case interrupted:
		return append(
			list,
			Command{"its state now", c.Command(id, "show")},
			Command{"if it succeeded", c.Command(id, "mark", "done")},
			Command{"if it failed", c.Command(id, "mark", "failed")},
			Command{"to run it again at the next call", c.Command(id, "mark", "retry")},
		)
	case running:
		return []Command{{"follow its output", c.Command(id, "logs", "--follow")}}
	case failed, timeout:
		return append(list, Command{"all about it", c.Command(id, "show")})
	}
	return []Command{{"all about it", c.Command(id, "show")}}
}

// addFoot says what the page does not contain.
func (c *collector) addFoot(r *Report, outside int) {
	aggregated := 0
	for _, d := range r.Old {
		aggregated += d.Runs
	}
	if aggregated > 0 {
		r.Foot = append(r.Foot, fmt.Sprintf("The %d oldest attempts are counted by job and day only: --max-runs %d. Medians and quantiles leave them out.", aggregated, c.MaxRuns))
	}
	if outside > 0 {
		r.Foot = append(r.Foot, plural(outside, "attempt")+" before or after the range of this report: --since, --until.")
	}
	if c.forgotten > 0 {
		r.Foot = append(r.Foot, plural(c.forgotten, "older failed key")+" are only counted.")
	}
	if len(c.Globs) > 0 {
		var list []string
		for _, g := range c.Globs {
			list = append(list, c.Text(string(g)))
		}
		r.Foot = append(r.Foot, "It has only the keys that match "+strings.Join(list, " or ")+".")
	}
	if c.Namespace != "" {
		r.Foot = append(r.Foot, "It has only the namespace "+c.Text(c.Namespace)+".")
	}
	if !c.Args {
		r.Foot = append(r.Foot, "Command lines and inputs are not in this file: --with-args.")
	}
	if c.OutputLines == 0 {
		r.Foot = append(r.Foot, "Outputs are not in this file: --output-lines N.")
	}
}
