//go:build !linux

package cmd_test

func childRefuse(uintptr, uintptr, []string) int { return 1 }
