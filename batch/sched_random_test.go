package batch

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"idem/ledger"
	"idem/runner"
)

// TestRandomBatches makes two calls at the same time with random lists and settings. Each
// must end. After a last call without limits, every item has its effects, and none more.
func TestRandomBatches(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			randomBatches(newSched(t), rand.New(rand.NewPCG(seed, 12)))
		})
	}
}

func randomBatches(k *kit, r *rand.Rand) {
	// The first attempts of items with r fail.
	const script = count + `case $1 in r*) [ $ATTEMPT -ge 2 ];; esac`
	var names []string
	for i := range 12 + r.IntN(10) {
		names = append(names, fmt.Sprint([]string{"r", "m", "a", "b"}[r.IntN(4)], i))
	}
	mutexes := func(c *runner.Call) {
		if strings.Contains(c.ID.Key, "/m") || strings.Contains(c.ID.Key, "/r1") {
			c.Mutexes = []ledger.Mutex{{Name: "m", Limit: 1}}
		}
	}
	var results []<-chan Result
	for range 2 {
		list := append([]string(nil), names...)
		for range r.IntN(5) {
			list = append(list, names[r.IntN(len(names))])
		}
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		b := k.list(script, list...)
		b.Slots = 1 + r.IntN(4)
		b.Interval = time.Duration(r.IntN(2)) * time.Millisecond
		b.Limit = r.IntN(2) * r.IntN(20)
		b.Tolerance.Failures = r.IntN(2) * r.IntN(4)
		b.Wait.Set = r.IntN(4) > 0
		b.Only = []Selection{"", "", OnlyNew, OnlyFailed}[r.IntN(4)]
		retries := runner.Retries{N: r.IntN(2), Delay: time.Duration(r.IntN(5)) * time.Millisecond, MaxDelay: time.Second}
		b.change = func(c *runner.Call) { mutexes(c); c.Retries = retries }
		results = append(results, b.begin())
	}
	for i, result := range results {
		res := <-result
		if res.Fault != nil || res.Counts[Unrecorded] > 0 || res.Counts[Interrupted] > 0 || res.Counts[Mismatch] > 0 {
			k.Errorf("call %d: got %+v", i, res)
		}
		if n := res.Counts.total(); n > res.Read || n < res.Read-1 { // the reader may hold an item that the batch did not take
			k.Errorf("call %d: the counts %v do not add up to %d", i, res.Counts, res.Read)
		}
	}
	for range 2 { // the first attempts, and those after them
		b := k.list(script, names...)
		b.Slots, b.change = 4, mutexes
		b.run()
	}
	effects := map[string]int{}
	for _, name := range strings.Fields(k.side()) {
		effects[name]++
	}
	for _, name := range names {
		want := 1
		if name[0] == 'r' {
			want = 2
		}
		if effects[name] != want {
			k.Errorf("%s ran %d times, want %d", name, effects[name], want)
		}
	}
}
