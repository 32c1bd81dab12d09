//go:build !linux

package dsn

import (
	"context"
	"syscall"
)

// control does nothing: only Linux has TCP_USER_TIMEOUT. The probes remain.
func control(context.Context, string, string, syscall.RawConn) error { return nil }
