//go:build !linux

package filelock

import "os"

// Other systems have no file system in memory at a place that is known.

func listPath(string) string { return "" }

func createList() (string, *os.File) { return "", nil }

func removeEmptyLists() {}

// NeverStarted returns false, because there are no lists.
func NeverStarted(list, runID string) bool { return false }

// ForgetUnstarted does nothing, because there are no lists.
func ForgetUnstarted(list, runID string) {}
