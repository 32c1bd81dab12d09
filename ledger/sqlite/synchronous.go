//go:build !failpoint

package sqlite

// synchronous makes every commit durable before it returns.
const synchronous = "full"
