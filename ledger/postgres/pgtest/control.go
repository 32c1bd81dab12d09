package pgtest

import (
	"os"
	"path/filepath"
	"syscall"
)

// Mode is a way to stop a server.
type Mode syscall.Signal

const (
	Smart     = Mode(syscall.SIGTERM) // waits for the clients to leave
	Fast      = Mode(syscall.SIGINT)  // ends the connections
	Immediate = Mode(syscall.SIGQUIT) // as a crash: what was not flushed is lost
)

// Stop stops the server.
func (s *Server) Stop(t T, m Mode) {
	t.Helper()
	if err := s.end(syscall.Signal(m)); err != nil {
		t.Fatal(err)
	}
}

// Start starts the server again, with the same cluster and addresses.
func (s *Server) Start(t T) {
	t.Helper()
	if !s.ended() {
		t.Fatal("pgtest: the server runs already")
	}
	if err := s.launch(); err != nil {
		t.Fatal(err)
	}
}

// Snapshot copies the cluster. Restore puts it back as it was then: the server is one that was
// restored from a backup of its files, with the same timeline.
func (s *Server) Snapshot(t T) (restore func()) {
	t.Helper()
	backup := s.data() + ".backup"
	copyTo := func(from, to string) {
		t.Helper()
		s.Stop(t, Fast)
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		if err := s.room.run("cp", "-Rp", from, to); err != nil {
			t.Fatal(err)
		}
		s.Start(t)
	}
	copyTo(s.data(), backup)
	return func() {
		t.Helper()
		copyTo(backup, s.data())
	}
}

// Log returns what the server has logged.
func (s *Server) Log(t T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
