package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"idem/ledger"
)

// pageOf returns the page of a report, and the data in it.
func pageOf(t *testing.T, r *Report) (string, island) {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(b.String(), `<script type="application/json" id="data">`)
	text, _, ok := strings.Cut(rest, "</script>")
	var d island
	if err := json.Unmarshal([]byte(text), &d); err != nil || !ok {
		t.Fatalf("got data that are not JSON: %v\n%.500s", err, text)
	}
	return b.String(), d
}

func TestPolicyPermitsTheScriptAndTheStyle(t *testing.T) {
	page, _ := pageOf(t, collected(t, month(), optionsOf()))
	script := page[strings.LastIndex(page, "<script>")+len("<script>") : strings.LastIndex(page, "</script>")]
	style := page[strings.Index(page, "<style>")+len("<style>") : strings.Index(page, "</style>")]
	if want := policy(style, script); !strings.Contains(page, `content="`+want+`"`) {
		t.Errorf("got a page without the policy %s", want)
	}
	for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "</", "<!--", "http:", "https:"} {
		if strings.Contains(strings.ReplaceAll(script, "http://www.w3.org/2000/svg", ""), word) {
			t.Errorf("the script has %s", word)
		}
	}
	if n := strings.Count(page, "<script"); n != 2 {
		t.Errorf("got %d script elements, want that of the data and that of the script", n)
	}
	if found := regexp.MustCompile(`(?i)<[^>]+\s(on[a-z]+|style|src)=`).FindString(page[:strings.Index(page, `id="data"`)]); found != "" {
		t.Errorf("got %s, which the policy forbids", found)
	}
}

func TestEmptyLedgerHasAPageThatSaysSo(t *testing.T) {
	page, d := pageOf(t, collected(t, newHistory().fixture, optionsOf()))
	if !strings.Contains(page, "Nothing is recorded in this range.") {
		t.Errorf("got a page that does not say that nothing is recorded")
	}
	if len(d.Lanes) != 0 || d.Names == nil || d.Runs.Key == nil {
		t.Errorf("got %+v, want empty lists", d)
	}
}

func TestWhatNeedsAttention(t *testing.T) {
	r := collected(t, month(), optionsOf())
	var got []string
	for _, c := range r.Concerns {
		got = append(got, words[c.State]+" "+c.Name+c.Window)
	}
	want := []string{
		"? interrupted migrate:v7",
		"× failed deploy:prod:8661", "× failed deploy:prod:8651", "× failed deploy:prod:8502", "× failed deploy:prod:8481",
		"× failed deploy:prod:8431", "× failed deploy:prod:8432",
		"↻ to run again cert:renew", // it did not run
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("got other concerns (-want +got):\n%s", diff)
	}
	if len(r.Overcome) != 7 || len(r.Overcome[0].Commands) == 0 {
		t.Errorf("got %+v, want 7 failures with a later success and their commands", r.Overcome)
	}
}

func TestAttemptThatRunsForLongNeedsAttention(t *testing.T) {
	for after, want := range map[time.Duration]int{29 * time.Minute: 0, 31 * time.Minute: 1} {
		h := newHistory()
		for n := range 3 {
			h.run(ledger.ID{Key: "k", Window: fmt.Sprintf("2026-11-%d", 26+n)}, made.AddDate(0, 0, n-3), 10*time.Minute, good)
		}
		h.run(ledger.ID{Key: "k", Window: "2026-11-30"}, made.Add(-after), 0, working)
		if got := len(collected(t, h.fixture, optionsOf()).Concerns); got != want {
			t.Errorf("after %v with a median of 10 minutes: got %d concerns, want %d", after, got, want)
		}
	}
}

func TestOldInterruptedKeyNeedsAttention(t *testing.T) {
	h := newHistory()
	h.run(ledger.ID{Key: "old"}, made.AddDate(-1, 0, 0), 0, lost)
	h.run(ledger.ID{Key: "done"}, made.AddDate(-1, 0, 0), 0, bad)
	r := collected(t, h.fixture, optionsOf())
	if len(r.Concerns) != 1 || r.Concerns[0].Name != "old" || len(r.Concerns[0].Commands) != 5 {
		t.Errorf("got %+v, want the interrupted key with its commands", r.Concerns)
	}
	if page, _ := pageOf(t, r); !strings.Contains(page, "idem mark done old") {
		t.Errorf("got a page without the command")
	}
}

// TestOldestAttemptsAreCounted has more attempts than a page may have.
func TestOldestAttemptsAreCounted(t *testing.T) {
	f := month()
	all := collected(t, f, optionsOf())
	o := optionsOf()
	o.MaxRuns = 100
	r := collected(t, f, o)
	if len(r.Runs) != 100 {
		t.Fatalf("got %d attempts, want 100", len(r.Runs))
	}
	if diff := cmp.Diff(all.Runs[len(all.Runs)-100].Start, r.Runs[0].Start); diff != "" {
		t.Errorf("got other attempts than the latest 100: %s", diff)
	}
	counted, bad := 0, 0
	for _, d := range r.Old {
		counted += d.Runs
		bad += d.Failed + d.Lost
	}
	want := 0
	for _, run := range all.Runs[:len(all.Runs)-100] {
		if run.State == failed || run.State == timeout || run.State == interrupted {
			want++
		}
	}
	if counted != len(all.Runs)-100 || bad != want {
		t.Errorf("got %d attempts counted, %d of them bad; want %d and %d", counted, bad, len(all.Runs)-100, want)
	}
	if len(r.Concerns) != len(all.Concerns) {
		t.Errorf("got %d concerns, want the %d of all attempts", len(r.Concerns), len(all.Concerns))
	}
	page, d := pageOf(t, r)
	if want := fmt.Sprintf("The %d oldest attempts are counted", counted); !strings.Contains(page, want) || d.LeftOut != counted {
		t.Errorf("got a page that does not say: %s", want)
	}
	for i, run := range r.Runs {
		if key := r.Keys[run.Key]; key.Name != all.Keys[all.Runs[len(all.Runs)-100+i].Key].Name {
			t.Fatalf("got run %d of key %s", i, key.Name)
		}
	}
}

func TestOutputsOnlyOnDemand(t *testing.T) {
	const text = "filling vat_id"
	page, _ := pageOf(t, collected(t, month(), optionsOf()))
	if strings.Contains(page, text) {
		t.Errorf("got a page with an output without --output-lines")
	}
	o := optionsOf()
	o.OutputLines = 1
	page, d := pageOf(t, collected(t, month(), o))
	if !strings.Contains(page, ">filling vat_id: 41 %</pre>") {
		t.Errorf("got a page without the last line of an output")
	}
	if len(d.Details) == 0 {
		t.Errorf("got no details")
	}
}

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "–", 0: "0 ms", 999 * time.Millisecond: "999 ms", 1500 * time.Millisecond: "1.5 s", 59700 * time.Millisecond: "1 min",
		61 * time.Second: "1 min 1 s", 601 * time.Second: "10 min", 90 * time.Minute: "1 h 30 min", 26 * time.Hour: "1 d 2 h", 400 * time.Hour: "17 d",
	} {
		if got := durationText(d); got != want {
			t.Errorf("durationText(%v): got %q, want %q", d, got, want)
		}
	}
}

// FuzzTexts checks that no text of a ledger can end the element that it is in, and that the
// script reads the text as it was.
func FuzzTexts(f *testing.F) {
	for _, text := range hostileTexts {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, key, window string) {
		h := newHistory()
		h.run(ledger.ID{Key: key, Window: window}, made.Add(-time.Hour), time.Minute, bad)
		r := collected(t, h.fixture, optionsOf())
		page, d := pageOf(t, r)
		if want := "=" + strings.ToValidUTF8(key, "\uFFFD"); d.Names[0] != want && !strings.Contains(key, "*") {
			t.Errorf("got the key %q, want %q", d.Names[0], want)
		}
		for tag, want := range map[string]int{"<script": 2, "</script": 2, "<style": 1, "<title": 1, "<!--": 0} {
			if got := strings.Count(page, tag); got != want {
				t.Errorf("got %d of %s, want %d", got, tag, want)
			}
		}
	})
}
