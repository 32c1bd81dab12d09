package pgtest

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// In transaction mode, the connections to the server are shared between transactions.
func TestPooler(t *testing.T) {
	s := Start(t, Options{})
	s.Exec(t, "create role stranger login")
	p := s.Pooler(t, PoolerOptions{TCP: true})
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	for _, url := range []string{p.URL(CI, Database, ""), p.URL("stranger", Database, ""), URL(p.TCPAddr(), Owner, Database, "", "sslmode=disable")} {
		pids := map[string]bool{}
		for range 5 {
			pid, err := query(ctx, url, "select pg_backend_pid()")
			if err != nil {
				t.Fatal(err)
			}
			pids[pid] = true
		}
		if len(pids) > 2 {
			t.Errorf("%s: %d connections to the server, want 2 at most", url, len(pids))
		}
	}
	c, err := pgconn.Connect(ctx, p.URL(CI, Database, ""))
	if err != nil {
		t.Fatal(err)
	}
	p.Restart(t)
	if _, err := c.Exec(ctx, "select 1").ReadAll(); err == nil {
		t.Error("a connection survived the restart")
	}
	if _, err := query(ctx, p.URL(CI, Database, ""), "select 1"); err != nil {
		t.Error(err)
	}
	if _, err := pgconn.Connect(ctx, p.URL(CI, Database, "")+"&schema=x"); err == nil || !strings.Contains(err.Error(), "unsupported startup parameter") {
		t.Errorf("an unknown parameter: got %v", err)
	}
	p.Pause(t)
	if state := stateOf(t, p.PIDs(t)[0]); state != "T" {
		t.Errorf("paused: got state %s, want T", state)
	}
	p.Resume(t)
	if _, err := query(ctx, p.URL(CI, Database, ""), "select 1"); err != nil {
		t.Error(err)
	}
	p.Stop(t)
	if _, err := query(ctx, p.URL(CI, Database, ""), "select 1"); err == nil {
		t.Error("a stopped pooler answers")
	}
}
