//go:build !linux

package cmd_test

func childRefuse(string, int, []string) int { return 1 }
