package pgtest

import (
	"crypto/rand"
	"strings"
	"sync"
)

var shared struct {
	sync.Mutex
	*Server
}

// Shared returns the server that all tests of this process share. It listens on a unix
// socket and on TCP, and ends with the process. So a test must not stop it.
func Shared(t T) *Server {
	t.Helper()
	Need(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.Server == nil {
		s, err := newServer(Options{TCP: true, MaxConnections: 300})
		if err != nil {
			t.Fatal(err)
		}
		shared.Server = s
	}
	return shared.Server
}

// NewSchema returns the name of a schema that does not exist. If the test makes it, it
// is dropped after the test.
func (s *Server) NewSchema(t T) string {
	t.Helper()
	name := "t_" + strings.ToLower(rand.Text()[:12])
	t.Cleanup(func() {
		if s.ended() {
			return
		}
		_, err := s.Try(Superuser, "set client_min_messages = error; drop schema if exists "+name+" cascade")
		if err != nil {
			t.Logf("schema %s: %v", name, err)
		}
	})
	return name
}
