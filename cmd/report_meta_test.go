package cmd

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"idem/ledger"
	"idem/runner"
)

// FuzzMeta checks that --meta-file gets valid JSON for any record. The JSON
// contains no control characters and reads as the record.
func FuzzMeta(f *testing.F) {
	for i, s := range oddTexts {
		f.Add(s, oddTexts[(i+5)%len(oddTexts)], i*10, i%3, int64(i-2)<<(i*2), uint8(i))
	}
	f.Fuzz(func(t *testing.T, key, note string, exitCode, signal int, micros int64, how uint8) {
		states := []ledger.State{ledger.None, ledger.Running, ledger.Succeeded, ledger.Failed}
		reasons := []ledger.Reason{"", ledger.ReasonExit, ledger.ReasonLost, ledger.ReasonMarked, ledger.ReasonProbed, ledger.ReasonTimeout}
		a := ledger.Attempt{
			RunID: key, Number: int(how), State: states[how%4], Reason: reasons[int(how)%len(reasons)], ExitCode: exitCode, Signal: signal,
			Started: time.UnixMicro(micros % 253402300800e6), Note: note, Owner: ledger.Owner{Host: note, PID: signal, User: key},
			OutputBytes: micros, Truncated: how&16 != 0, NoOutput: how&32 != 0, Fingerprint: note,
		}
		if how&64 != 0 {
			a.Ended = a.Started.Add(time.Duration(exitCode))
		}
		if a.Started.UTC().Year() < 0 || a.Ended.UTC().Year() > 9999 || a.Ended.UTC().Year() < 0 {
			return // RFC 3339 has no such years
		}
		rec := ledger.Record{ID: ledger.ID{Namespace: note, Key: key, Window: key}, Current: a, Generation: micros, Fence: -micros, Attempts: int(how)}
		res := runner.Result{Decision: runner.Decision{Action: runner.ActionReplay}, Record: rec}
		made := metaOf(res, runner.Call{ID: rec.ID})()
		b, err := marshal(made)
		if err != nil || steers(string(b), "\n") {
			t.Fatalf("got %q, error %v, want JSON without control characters", b, err)
		}
		var got metaView
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("got error %v in %s, want JSON", err, b)
		}
		for _, s := range []*string{&made.Key, &made.Namespace, &made.Window, &made.Note, &made.Host, &made.User, &made.RunID, &made.Fingerprint} {
			*s = string([]rune(*s)) // JSON text has only valid UTF-8
		}
		if !reflect.DeepEqual(got, made) || got.Schema != metaSchema || !got.Replayed {
			t.Fatalf("got %+v, want %+v", got, made)
		}
		if at, err := time.Parse(time.RFC3339Nano, *got.StartedAt); err != nil || !at.Equal(a.Started) {
			t.Fatalf("got %v, error %v, want %v", at, err, a.Started)
		}
	})
}
