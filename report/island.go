package report

import (
	"encoding/json"
	"io"
	"strings"
	"time"
)

// island is the data of a page for its script, as JSON in a script element. It has columns
// instead of objects, and differences instead of numbers, so 100,000 attempts of as many keys
// need less than 3 MB. 1_data.js reads it. The keys are in the order of their first attempts.
type island struct {
	Schema  int       `json:"schema"`
	MadeAt  time.Time `json:"made_at"`
	Idem    string    `json:"idem"`
	Ledger  string    `json:"ledger"`
	Host    string    `json:"host"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	LeftOut int       `json:"left_out"` // attempts that are only in old

	Lanes   []islandLane     `json:"lanes"`
	Names   []string         `json:"names"`
	Windows []string         `json:"windows"`
	Keys    islandKeys       `json:"keys"`
	Below   []int            `json:"below"`   // the keys that are steps or items
	Details map[int]*Details `json:"details"` // by key
	Hosts   []string         `json:"hosts"`
	T0      int64            `json:"t0"` // the first start, in tenths of a second since 1970
	Runs    islandRuns       `json:"runs"`
	Old     islandDays       `json:"old"`
}

type islandLane struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Per       string `json:"per"`
	Pattern   bool   `json:"pattern"`
	Concerns  int    `json:"concerns"`
}

type islandKeys struct {
	// Name is the index into names plus 1, or 0 for the next name that no key before has. A
	// name is = and the key, or * and what the star of the lane's name stands for.
	Name []int `json:"n"`
	// Window is the index into windows minus that of the key before in the same lane.
	Window []int  `json:"w"`
	Lane   []int  `json:"l"`
	State  string `json:"s"` // a digit for each key
}

type islandRuns struct {
	Key    map[int]int32 `json:"k"`  // the index minus the greatest one before, minus 1; of those where that is not 0
	Start  []int64       `json:"t"`  // tenths of a second since the start of the run before
	Took   []int64       `json:"ms"` // -1: not known
	State  string        `json:"s"`  // a digit for each run; A is 1 of an inner one, B is 2, and so on
	Number map[int]int32 `json:"n"`  // of those that are not 1
	Exit   map[int]int16 `json:"x"`  // of those that are not 0; -1: not known
	Host   map[int]int32 `json:"h"`  // of those that are not 0
}

type islandDays struct {
	Lane    []int   `json:"l"`
	Day     []int64 `json:"d"`
	Runs    []int   `json:"n"`
	Failed  []int   `json:"f"`
	Lost    []int   `json:"u"`
	Longest []int64 `json:"ms"`
}

// writeIsland writes the data of r. JSON of Go escapes <, > and &, so it cannot end the script
// element.
func (r *Report) writeIsland(w io.Writer) error {
	d := island{
		Schema: 1, MadeAt: r.Made.UTC(), Idem: r.Version, Ledger: r.Ledger, Host: r.Host, From: r.From.UTC(), To: r.To.UTC(),
		Lanes: []islandLane{}, Details: map[int]*Details{}, Below: []int{}, Hosts: append([]string{}, r.Hosts...),
	}
	for _, l := range r.Lanes {
		d.Lanes = append(d.Lanes, islandLane{l.Name, l.Namespace, string(l.Per), l.Pattern, l.Concerns})
	}
	number := d.setKeys(r)
	d.setRuns(r.Runs, number)
	d.setDays(r.Old)
	return json.NewEncoder(w).Encode(d)
}

// setKeys sets the keys in the order of their first attempts, and returns their places by
// Run.Key.
func (d *island) setKeys(r *Report) []int32 {
	number := make([]int32, len(r.Keys))
	order := make([]int32, 0, len(r.Keys))
	put := func(k int32) {
		if number[k] == 0 {
			order = append(order, k)
			number[k] = int32(len(order))
		}
	}
	for _, run := range r.Runs {
		put(run.Key)
	}
	for k := range r.Keys {
		put(int32(k))
	}
	names, windows := table{}, table{}
	n := len(order)
	d.Keys = islandKeys{Name: make([]int, n), Window: make([]int, n), Lane: make([]int, n)}
	states := make([]byte, n)
	before := make([]int, len(r.Lanes)) // the window of the key before, by lane
	for at, i := range order {
		number[i]--
		k := &r.Keys[i]
		known := len(names)
		if name := names.index(shortName(r.Lanes[k.Lane].Name, k.Name)); name < known {
			d.Keys.Name[at] = name + 1
		}
		window := windows.index(k.Window)
		d.Keys.Window[at], d.Keys.Lane[at] = window-before[k.Lane], k.Lane
		before[k.Lane] = window
		states[at] = '0' + byte(k.State)
		if k.Below {
			d.Below = append(d.Below, at)
		}
		if k.Details != nil {
			d.Details[at] = k.Details
		}
	}
	d.Keys.State, d.Names, d.Windows = string(states), names.list(), windows.list()
	return number
}

// shortName returns a key as islandKeys.Name has it.
func shortName(lane, key string) string {
	prefix, suffix, ok := strings.Cut(lane, "*")
	if ok && len(key) >= len(prefix)+len(suffix) && strings.HasPrefix(key, prefix) && strings.HasSuffix(key, suffix) {
		return "*" + key[len(prefix):len(key)-len(suffix)]
	}
	return "=" + key
}

func (d *island) setRuns(list []Run, number []int32) {
	n := len(list)
	d.Runs = islandRuns{
		Start: make([]int64, n), Took: make([]int64, n),
		Key: map[int]int32{}, Number: map[int]int32{}, Exit: map[int]int16{}, Host: map[int]int32{},
	}
	states := make([]byte, n)
	if n > 0 {
		d.T0 = list[0].Start / 100
	}
	before, greatest := d.T0, int32(-1)
	for i, r := range list {
		start, key := r.Start/100, number[r.Key]
		d.Runs.Start[i], d.Runs.Took[i] = start-before, r.Took
		if key != greatest+1 {
			d.Runs.Key[i] = key - greatest - 1
		}
		before, greatest = start, max(greatest, key)
		states[i] = '0' + byte(r.State)
		if r.Inner {
			states[i] = 'A' - 1 + byte(r.State)
		}
		if r.Number != 1 {
			d.Runs.Number[i] = r.Number
		}
		if r.Exit != 0 {
			d.Runs.Exit[i] = r.Exit
		}
		if r.Host != 0 {
			d.Runs.Host[i] = r.Host
		}
	}
	d.Runs.State = string(states)
}

func (d *island) setDays(days []Day) {
	d.Old = islandDays{Lane: []int{}, Day: []int64{}, Runs: []int{}, Failed: []int{}, Lost: []int{}, Longest: []int64{}}
	for _, o := range days {
		d.LeftOut += o.Runs
		d.Old.Lane = append(d.Old.Lane, o.Lane)
		d.Old.Day = append(d.Old.Day, o.Day)
		d.Old.Runs = append(d.Old.Runs, o.Runs)
		d.Old.Failed = append(d.Old.Failed, o.Failed)
		d.Old.Lost = append(d.Old.Lost, o.Lost)
		d.Old.Longest = append(d.Old.Longest, o.Longest)
	}
}

// table numbers texts in the order in which they occur first.
type table map[string]int

func (t table) index(text string) int {
	i, ok := t[text]
	if !ok {
		i = len(t)
		t[text] = i
	}
	return i
}

// list returns the texts by their numbers.
func (t table) list() []string {
	list := make([]string, len(t))
	for text, i := range t {
		list[i] = text
	}
	return list
}
