package pgtest

import (
	"net"

	"idem/ledger/postgres/pgtest/proxy"
)

// Proxy returns a network before a server or a pooler that fails on demand. It listens
// on 127.0.0.1 and ends with the test.
func Proxy(t T, target net.Addr) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Listen("tcp", "127.0.0.1:0", target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	})
	return p
}
