package dsn

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestConnectionsHaveTheTimeoutOfUnacknowledgedData(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	conn, err := dialer().DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[[2]int]int{
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}: 8000,
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}:     5,
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE}:      1,
	} {
		var got int
		if err := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), option[0], option[1]) }); err != nil {
			t.Fatal(err)
		}
		if err != nil || got != want {
			t.Errorf("option %v: got %d (%v), want %d", option, got, err, want)
		}
	}
}
