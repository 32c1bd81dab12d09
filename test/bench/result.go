package main

import (
	"time"

	"idem/test/internal/rig"
)

// result is the JSON of a measurement. Times are in microseconds. Unknown figures are
// absent.
type result struct {
	Schema   int         `json:"schema"`
	Date     time.Time   `json:"date"`
	Machine  rig.Machine `json:"machine"`
	Quick    bool        `json:"quick"`
	Realtime bool        `json:"realtime"` // under SCHED_FIFO
	Races    []race      `json:"races"`
	Rows     []row       `json:"rows"`
	Crowds   []crowd     `json:"crowds"`
	Batches  []row       `json:"batches"` // the times of whole batches, and of runs with steps
	Demands  []demand    `json:"demands"`
	Old      string      `json:"old,omitempty"` // the version of the earlier idem
}

// race is one work, in which all contenders took part in turn.
type race struct {
	Work  string `json:"work"`
	Bytes int64  `json:"bytes"`
	First string `json:"first_beside"`  // the row to which first runs have a ratio
	Again string `json:"replay_beside"` // the row to which replays have a ratio
	Noise noise  `json:"noise"`
}

// noise says how busy the machine was. A round is dropped if a reference took more than
// twice its least time in it. If less than a third of the rounds would be left, the
// quietest third counts and Loud is set.
type noise struct {
	Rounds  int  `json:"rounds"`
	Dropped int  `json:"dropped"`
	Loud    bool `json:"loud"`
}

// row is one contender.
type row struct {
	Name    string   `json:"name"`
	What    string   `json:"what"`
	Missing string   `json:"missing,omitempty"` // the reason why it was not measured
	Figures []figure `json:"figures,omitempty"`
}

// figure has the figures of one contender at one work, for a first run or a replay.
type figure struct {
	Work   string  `json:"work"`
	Op     string  `json:"op"` // first or replay
	N      int     `json:"n"`
	Median float64 `json:"median_us"`
	Min    float64 `json:"min_us"`
	Max    float64 `json:"max_us"`
	CPU    float64 `json:"cpu_us"` // median of user and system time
	Ratio  float64 `json:"ratio,omitempty"`
	counts
}

// counts has the figures that do not depend on the load of the machine.
type counts struct {
	PeakKB       *int64 `json:"peak_kb,omitempty"`
	Faults       *int64 `json:"page_faults,omitempty"`
	Syncs        *int64 `json:"fsyncs,omitempty"`
	Instructions *int64 `json:"instructions,omitempty"`
}

// crowd has the figures of many calls at once. They are medians over the rounds.
type crowd struct {
	Name    string  `json:"name"`
	Op      string  `json:"op"` // first: distinct keys; replay; one: the same key for all callers
	Callers int     `json:"callers"`
	Rounds  int     `json:"rounds"`
	Total   float64 `json:"total_us"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	Rate    float64 `json:"per_second"`
}

// demand is a limit that idem should keep, with its figure. Goal is a better figure that
// idem should reach later. Before is the figure of the earlier idem in the same rounds.
type demand struct {
	What    string  `json:"what"`
	Most    float64 `json:"at_most,omitempty"`
	Least   float64 `json:"at_least,omitempty"`
	Goal    float64 `json:"goal,omitempty"`
	Before  float64 `json:"before,omitempty"`
	Figure  float64 `json:"figure"`
	Unit    string  `json:"unit,omitempty"`
	Verdict string  `json:"verdict"` // met, missed or not known
}

const (
	first  = "first"
	replay = "replay"
	one    = "one"
)

// figure returns the figure of a row, or nil.
func (r *result) figure(name, work, op string) *figure {
	for i := range r.Rows {
		if r.Rows[i].Name != name {
			continue
		}
		for k := range r.Rows[i].Figures {
			if f := &r.Rows[i].Figures[k]; f.Work == work && f.Op == op {
				return f
			}
		}
	}
	return nil
}
