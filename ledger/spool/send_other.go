//go:build !linux

package spool

import "os"

func sendFile(dst, src *os.File, off, n int64) error { return copyFile(dst, src, off, n) }
