package cmd_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
)

// provider is a server that takes Idempotency-Keys as the IETF draft defines
// them. It loses its answers to the first calls.
type provider struct {
	mu      sync.Mutex
	lose    int
	charges map[string]string // maps a key to a body
	calls   int
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	key := r.Header.Get("Idempotency-Key")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	before, known := p.charges[key]
	switch {
	case key == "":
		http.Error(w, "Idempotency-Key is missing", http.StatusBadRequest)
		return
	case known && before != string(body):
		http.Error(w, "Idempotency-Key is used already", http.StatusUnprocessableEntity)
		return
	}
	p.charges[key] = string(body)
	if p.calls <= p.lose {
		panic(http.ErrAbortHandler) // the charge is made, but the connection breaks
	}
	fmt.Fprintf(w, "charge %d: %s\n", len(p.charges), body)
}

// loseUntil makes the provider lose its answers up to a call.
func (p *provider) loseUntil(call int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = call
}

// callsAndCharges returns the number of calls to the provider, and its charges.
func (p *provider) callsAndCharges() (int, map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls, maps.Clone(p.charges)
}

func recipePayment(k *recipeBox) {
	requireTool(k.t, "curl")
	pay := k.nextBlock("sh").text
	p := &provider{lose: 2, charges: map[string]string{}}
	server := httptest.NewServer(p)
	defer server.Close()
	k.setenv("PAYMENTS", server.URL)
	k.setenv("ORDER", "4711")
	k.setenv("AMOUNT", "30")
	for range 2 {
		if r := k.wantStatus(k.runRecipe(pay), 0); r.out != "charge 1: amount=30\n" {
			k.t.Errorf("got %+v, want stdout %q", r, "charge 1: amount=30\n")
		}
	}
	calls, charges := p.callsAndCharges()
	if len(charges) != 1 || calls != 3 || k.show("payment:4711").Attempt != 3 {
		k.t.Errorf("got %d calls, charges %v, want 3 calls and 1 charge", calls, charges)
	}
	token := strings.TrimSpace(k.wantStatus(k.run("token", "payment:4711"), 0).out)
	if charges[token] == "" {
		k.t.Errorf("got the charges %v, want one with the token %s", charges, token)
	}
	// A call with another amount for the order never reaches the provider.
	k.wantStatus(k.runRecipe("AMOUNT=31; "+pay), 65)
	if calls, _ := p.callsAndCharges(); calls != 3 {
		k.t.Error("got another call to the provider, want none")
	}
	rent := k.nextBlock("sh").text
	k.setenv("TENANT", "17")
	for i, due := range []string{"2026-10-01", "2026-11-01", "2026-10-31T23:59:59Z"} {
		r := k.wantStatus(k.runRecipe("DUE="+due+"; "+rent), 0)
		token := strings.TrimSpace(k.wantStatus(k.run("token", "--per", "month", "--tz", "UTC", "--at", due, "rent:17"), 0).out)
		_, charges := p.callsAndCharges()
		if want := fmt.Sprintf("charge %d: amount=30\n", 2+i%2); r.out != want || charges[token] == "" || len(charges) != 2+min(i, 1) {
			k.t.Errorf("due %s: got %q, want %q; charges %v", due, r.out, want, charges)
		}
	}
	// The first attempt is too old, so the provider may have forgotten its token.
	p.loseUntil(100)
	k.wantStatus(k.runRecipe("ORDER=4712; "+pay), 52)
	calls, _ = p.callsAndCharges()
	k.wantStatus(k.runRecipe("ORDER=4712; "+strings.Replace(pay, "23h", "1ms", 1)), 80)
	if again, _ := p.callsAndCharges(); again != calls {
		k.t.Errorf("got %d calls to the provider, want %d", again, calls)
	}
}

func recipeRetry(k *recipeBox) {
	requireTool(k.t, "curl")
	report := k.nextBlock("sh").text
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		k.t.Fatal(err)
	}
	var calls atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) < 3 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, `{"sum": 1}`)
	}))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	defer server.Close()
	k.setenv("REPORTS", server.URL)
	k.setenv("DAY", "2026-11-22")
	for range 2 {
		k.wantStatus(k.runRecipe(report), 0)
	}
	if got := k.read("report.json"); got != `{"sum": 1}` || calls.Load() != 3 {
		k.t.Errorf("got %q after %d calls, want the report after 3", got, calls.Load())
	}
	if n := len(k.show("report:2026-11-22").Attempts); n != 3 {
		k.t.Errorf("got %d recorded attempts, want 3", n)
	}
}
