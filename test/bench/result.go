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
	Demands  []demand    `json:"demands"`
}

// race is one work at which all took part in turn.
type race struct {
	Work  string `json:"work"`
	Bytes int64  `json:"bytes"`
	First string `json:"first_beside"` // the row that the ratios of first runs and replays mean
	Again string `json:"replay_beside"`
	Noise noise  `json:"noise"`
}

// noise is how restless the machine was: a round counts if every reference
// took at most twice its least time in it, or else it is dropped; if that would
// leave less than a third of them, the quietest third counts, and Loud is set.
type noise struct {
	Rounds  int  `json:"rounds"`
	Dropped int  `json:"dropped"`
	Loud    bool `json:"loud"`
}

// row is one contender.
type row struct {
	Name    string   `json:"name"`
	What    string   `json:"what"`
	Missing string   `json:"missing,omitempty"` // why it could not be measured
	Figures []figure `json:"figures,omitempty"`
}

// figure is what one contender needs for one work, at the first run or again.
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

// crowd is many calls at once: medians over its rounds.
type crowd struct {
	Name    string  `json:"name"`
	Op      string  `json:"op"` // first: a key for each; replay; one: all wait for one
	Callers int     `json:"callers"`
	Rounds  int     `json:"rounds"`
	Total   float64 `json:"total_us"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	Rate    float64 `json:"per_second"`
}

// demand is one row of what idem is to reach.
type demand struct {
	What    string  `json:"what"`
	Most    float64 `json:"at_most,omitempty"`
	Least   float64 `json:"at_least,omitempty"`
	Figure  float64 `json:"figure"`
	Unit    string  `json:"unit,omitempty"`
	Verdict string  `json:"verdict"` // met, missed or not known
}

const (
	first  = "first"
	replay = "replay"
	one    = "one"
)

// figure returns that of a row, or nil.
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
