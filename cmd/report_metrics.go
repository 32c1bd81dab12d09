package cmd

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"idem/jobs"
	"idem/ledger"
)

// metric is a family of samples.
type metric struct {
	name    string // without the suffix _total of a counter
	counter bool
	help    string
	samples []sample
}

// sample is a value with its labels: names and values in turn.
type sample struct {
	labels []string
	value  float64
}

func (m *metric) add(value float64, labels ...string) {
	m.samples = append(m.samples, sample{labels, value})
}

// addTime adds a time, unless it is not known.
func (m *metric) addTime(t time.Time, labels ...string) {
	if !t.IsZero() {
		m.add(float64(t.UnixMicro())/1e6, labels...)
	}
}

// metricsText returns the metrics in the text format of Prometheus 0.0.4, or in OpenMetrics
// 1.0. It has no timestamps, because node_exporter refuses them, and no type info, because
// node_exporter drops the whole file.
//
// The number of series is limited: maxJobs jobs and as many namespaces have series, and the
// further ones share those of the job "other" and of the empty namespace. Jobs with windows
// have series first.
func (s stats) metricsText(maxJobs int, open bool) string {
	var b strings.Builder
	latest, other := s.Watched(maxJobs)
	if other != nil && !open { // it knows no comments
		fmt.Fprintf(&b, "# %s of %d have series; the other ones are the job \"other\".\n", plural(len(latest), "job"), len(s.Lanes))
	}
	for _, m := range append(s.ledgerMetrics(maxJobs), jobMetrics(latest, other)...) {
		m.write(&b, open)
	}
	if open {
		b.WriteString("# EOF\n")
	}
	return b.String()
}

// ledgerMetrics are the metrics of the whole ledger.
func (s stats) ledgerMetrics(maxNamespaces int) []metric {
	build := metric{name: "idem_build", help: "Always 1; the label is the version of idem that wrote the metrics."}
	build.add(1, "version", version())
	size := metric{name: "idem_ledger_bytes", help: "Size of the ledger in bytes."}
	if s.size >= 0 {
		size.add(float64(s.size))
	}
	stored := metric{name: "idem_output_bytes", help: "Size of the recorded outputs in bytes."}
	stored.add(float64(s.Stored))
	keys := metric{name: "idem_keys", help: "Keys by state, without steps and items."}
	add := func(namespace string, tally ledger.Tally) {
		for _, phase := range tallyOrder {
			if phase != ledger.PhaseNone {
				keys.add(float64(tally[phase]), "namespace", namespace, "state", string(phase))
			}
		}
	}
	names := slices.Collect(maps.Keys(s.Keys))
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(s.Keys[b].Total()-s.Keys[a].Total(), cmp.Compare(a, b)) })
	shown := min(len(names), maxNamespaces)
	for _, name := range slices.Sorted(slices.Values(names[:shown])) {
		add(name, s.Keys[name])
	}
	if shown < len(names) {
		rest := ledger.Tally{}
		for _, name := range names[shown:] {
			rest.Add(s.Keys[name])
		}
		add("", rest)
	}
	return []metric{build, size, stored, keys}
}

// endedResults are the results that a counter has. A running attempt is counted when it has
// ended, since a counter must not go down. A mark is not an attempt.
var endedResults = []jobs.Result{jobs.Succeeded, jobs.Failed, jobs.Timeout, jobs.Interrupted}

// jobMetrics are the metrics of jobs. other may be nil.
func jobMetrics(latest []*jobs.Job, other *jobs.Job) []metric {
	const of = " of the job"
	all := []metric{
		{name: "idem_job_last_success_timestamp_seconds", help: "End of the latest success" + of + "."},
		{name: "idem_job_last_attempt_timestamp_seconds", help: "Start of the latest attempt" + of + "."},
		{name: "idem_job_last_duration_seconds", help: "Duration of the attempt" + of + " that ended last."},
		{name: "idem_job_last_exit_code", help: "Exit status of the attempt" + of + " that ended last."},
		{name: "idem_job_running_since_timestamp_seconds", help: "Start of the oldest attempt" + of + " that is running."},
		{name: "idem_job_attempts", counter: true, help: "Attempts" + of + " that have ended, by result."},
	}
	add := func(j *jobs.Job, name string) {
		labels := []string{"namespace", j.Namespace, "job", name}
		all[0].addTime(j.LastGood, labels...)
		all[1].addTime(j.LastRun, labels...)
		if j.LastTook != jobs.Unknown {
			all[2].add(j.LastTook.Seconds(), labels...)
		}
		if j.LastExit != jobs.Unknown {
			all[3].add(float64(j.LastExit), labels...)
		}
		all[4].addTime(j.Since, labels...)
		for _, result := range endedResults {
			all[5].add(float64(j.Runs[result]), append(slices.Clone(labels), "result", result.String())...)
		}
	}
	for _, j := range latest {
		add(j, j.Name)
	}
	if other != nil {
		add(other, "other")
	}
	return all
}

// write writes a metric that has samples.
func (m metric) write(b *strings.Builder, open bool) {
	if len(m.samples) == 0 {
		return
	}
	family, name, kind := m.name, m.name, "gauge"
	if m.counter {
		kind, name = "counter", m.name+"_total"
		if !open {
			family = name
		}
	}
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", family, m.help, family, kind)
	for _, s := range m.samples {
		b.WriteString(name)
		for i := 0; i < len(s.labels); i += 2 {
			between := ","
			if i == 0 {
				between = "{"
			}
			b.WriteString(between + s.labels[i] + `="` + labelValue(s.labels[i+1]) + `"`)
		}
		if len(s.labels) > 0 {
			b.WriteString("}")
		}
		b.WriteString(" " + strconv.FormatFloat(s.value, 'f', -1, 64) + "\n")
	}
}

// labelValue returns a value of a label as both formats have it between quotes. Text that is
// not UTF-8 is escaped, because Prometheus refuses it.
func labelValue(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(validText(text))
}
