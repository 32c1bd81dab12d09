package pgtest

import "testing"

// An asynchronous standby that no longer receives forgets a commit that the primary
// acknowledged. Its promotion changes the timeline.
func TestPromotionForgets(t *testing.T) {
	s := Start(t, Options{})
	s.Exec(t, "create table a (b int); insert into a values (1)")
	r := s.Standby(t, StandbyOptions{})
	s.Exec(t, "insert into a values (2)")
	s.CaughtUp(t, r)
	if got := r.Query(t, "select count(*), pg_is_in_recovery() from a"); got != "2|t" {
		t.Errorf("the standby has %s", got)
	}
	r.StopReceiver(t)
	s.Exec(t, "insert into a values (3)")
	before := s.Timeline(t)
	s.Stop(t, Immediate)
	r.Promote(t)
	if got := r.Query(t, "select max(b) from a"); got != "2" {
		t.Errorf("after the promotion: got %s, want 2", got)
	}
	if after := r.Timeline(t); before != "1" || after != "2" {
		t.Errorf("timelines: got %s and %s", before, after)
	}
	r.Exec(t, "insert into a values (4)")
}

// A commit waits for a synchronous standby.
func TestSynchronousStandby(t *testing.T) {
	s := Start(t, Options{})
	s.Exec(t, "create table a (b int)")
	r := s.Standby(t, StandbyOptions{Sync: true})
	s.Exec(t, "insert into a values (1)")
	r.StopReceiver(t)
	done := make(chan error, 1)
	go func() {
		_, err := s.Try(Superuser, "insert into a values (2)")
		done <- err
	}()
	s.eventually(t, "1", "select count(*) from pg_stat_activity where wait_event = 'SyncRep'")
	select {
	case err := <-done:
		t.Errorf("the commit did not wait: %v", err)
	default:
	}
	s.Unsync(t)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
