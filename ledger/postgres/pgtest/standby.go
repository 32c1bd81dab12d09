package pgtest

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// StandbyOptions say how a standby follows its primary.
type StandbyOptions struct {
	Sync bool // a commit on the primary waits for the standby
}

// Standby makes a streaming replica of the server and starts it. It has the options of
// the server and ends with the test. With Sync, the primary waits for it in every
// commit; see Unsync.
func (s *Server) Standby(t T, o StandbyOptions) *Server {
	t.Helper()
	r := &Server{room: s.room, o: s.o, ca: s.ca}
	if err := s.copyTo(r); err != nil {
		t.Fatal(err)
	}
	r.endWith(t)
	s.eventually(t, "t", "select count(*) = 1 from pg_stat_replication where state = 'streaming' and application_name = '"+r.name+"'")
	if o.Sync {
		s.Set(t, "synchronous_standby_names", r.name)
		s.eventually(t, "sync", "select sync_state from pg_stat_replication where application_name = '"+r.name+"'")
	}
	return r
}

// copyTo makes r a running standby of s.
func (s *Server) copyTo(r *Server) (err error) {
	if r.dir, err = r.room.newDir(); err != nil {
		return err
	}
	r.name = "standby" + filepath.Base(r.dir)
	// -R writes the connection into the standby's configuration; the primary knows the
	// standby by its cluster_name.
	if err := r.room.run(filepath.Join(bin(), "pg_basebackup"), "-h", s.dir, "-p", strconv.Itoa(s.port), "-U", Superuser,
		"-D", r.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync"); err != nil {
		return err
	}
	if err := r.configure(); err != nil {
		return err
	}
	return r.launch()
}

// Unsync makes commits wait for no standby.
func (s *Server) Unsync(t T) {
	t.Helper()
	s.Set(t, "synchronous_standby_names", "")
}

// CaughtUp waits until the standby r has replayed what s has written so far.
func (s *Server) CaughtUp(t T, r *Server) {
	t.Helper()
	lsn := s.Query(t, "select pg_current_wal_flush_lsn()")
	r.eventually(t, "t", "select pg_last_wal_replay_lsn() >= '"+lsn+"'")
}

// StopReceiver makes a standby receive nothing more, as if its network were cut. The
// primary goes on.
func (s *Server) StopReceiver(t T) {
	t.Helper()
	s.Set(t, "primary_conninfo", "")
	s.eventually(t, "0", "select count(*) from pg_stat_wal_receiver")
}

// Promote makes a standby a primary, with a new timeline.
func (s *Server) Promote(t T) {
	t.Helper()
	if got := s.Query(t, "select pg_promote(true, 60)"); got != "t" {
		t.Fatalf("pg_promote: got %s", got)
	}
}

// Set changes a parameter of the server by ALTER SYSTEM. An empty value is an empty
// string.
func (s *Server) Set(t T, name, value string) {
	t.Helper()
	s.Exec(t, fmt.Sprintf("alter system set %s = '%s'", name, strings.ReplaceAll(value, "'", "''")))
	s.Exec(t, "select pg_reload_conf()")
	// The postmaster tells the other processes, so a new connection may still have the old value.
	s.eventually(t, value, "show "+name)
}

// eventually waits until a query returns want.
func (s *Server) eventually(t T, want, sql string) {
	t.Helper()
	got := ""
	for end := time.Now().Add(hang); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got = s.Query(t, sql); got == want {
			return
		}
	}
	t.Fatalf("%s: got %q, want %q\n%s", sql, got, want, tail(s.dir))
}
