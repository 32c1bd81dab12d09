package cmd

import (
	"cmp"
	"time"

	"idem/jobs"
	"idem/ledger"
)

// statsView is the JSON object of idem stats. An unknown value is null.
type statsView struct {
	Schema   int                     `json:"schema"`
	Ledger   jsonBytes               `json:"ledger"`
	Bytes    *int64                  `json:"ledger_bytes"`
	Stored   int64                   `json:"output_bytes"`
	Keys     map[string]ledger.Tally `json:"keys"` // by namespace and state
	Attempts map[string]int          `json:"attempts"`
	Oldest   *string                 `json:"oldest_started_at"`
	Newest   *string                 `json:"newest_started_at"`
	By       string                  `json:"by"`
	Jobs     []jobView               `json:"jobs"`
	Others   *jobView                `json:"others"` // the jobs after the first N of --top
}

// jobView is a job in JSON.
type jobView struct {
	Namespace string         `json:"namespace"` // empty by host, namespace or day
	Name      jsonBytes      `json:"job"`
	Pattern   bool           `json:"pattern"`
	Per       string         `json:"per"`
	Attempts  map[string]int `json:"attempts"`
	Retried   int            `json:"retried"`
	Median    *float64       `json:"median_seconds"`
	P95       *float64       `json:"p95_seconds"`
	LastRun   *string        `json:"last_started_at"`
	LastGood  *string        `json:"last_success_at"`
	LastTook  *float64       `json:"last_seconds"`
	LastExit  *int           `json:"last_exit_code"`
	Since     *string        `json:"running_since"`
}

func (s stats) jsonText(top int) (string, error) {
	latest, other := s.Latest(cmp.Or(top, len(s.Lanes)))
	v := statsView{
		Schema: metaSchema, Ledger: jsonBytes(s.place), Stored: s.Stored, Keys: s.Keys, Attempts: viewRuns(s.total()), Oldest: viewTime(s.Oldest),
		Newest: viewTime(s.Newest), By: s.by, Jobs: []jobView{},
	}
	if v.Keys == nil {
		v.Keys = map[string]ledger.Tally{}
	}
	if s.size >= 0 {
		v.Bytes = &s.size
	}
	for _, j := range latest {
		v.Jobs = append(v.Jobs, viewJob(j))
	}
	if other != nil {
		v.Others = ptr(viewJob(other))
	}
	text, err := marshal(v)
	return string(text), err
}

func viewJob(j *jobs.Job) jobView {
	v := jobView{
		Namespace: j.Namespace, Name: jsonBytes(j.Name), Pattern: j.Pattern, Per: string(j.Per), Attempts: viewRuns(j), Retried: j.Retries,
		Median: viewSeconds(j.Median), P95: viewSeconds(j.P95), LastRun: viewTime(j.LastRun), LastGood: viewTime(j.LastGood),
		LastTook: viewSeconds(j.LastTook), Since: viewTime(j.Since),
	}
	if j.LastExit != jobs.Unknown {
		v.LastExit = &j.LastExit
	}
	return v
}

// viewRuns returns the runs of a job by result, all results included.
func viewRuns(j *jobs.Job) map[string]int {
	runs := map[string]int{}
	for result, n := range j.Runs {
		runs[jobs.Result(result).String()] = n
	}
	return runs
}

func viewSeconds(d time.Duration) *float64 {
	if d == jobs.Unknown {
		return nil
	}
	return ptr(d.Seconds())
}
