package dsn

import (
	"net"
	"time"
)

// userTimeout is the time after which a connection fails if the other side does not
// acknowledge data. The default of Linux is about 15 minutes.
const userTimeout = 8 * time.Second

// dialer returns the dialer of all connections. Probes find a dead server also while a
// statement waits for its answer.
func dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
		ControlContext:  control,
	}
}
