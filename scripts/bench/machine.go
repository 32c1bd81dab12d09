package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is where it was measured, and what.
type machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	System     string `json:"system"` // and kernel
	FileSystem string `json:"file_system"`
	Go         string `json:"go"`
	Commit     string `json:"commit"`
	LoadBefore string `json:"load_before"` // as uptime shows it
	LoadAfter  string `json:"load_after"`
}

const unknown = "not known"

// describe looks at the machine; the files of the measurement are in dir.
func describe(dir string) machine {
	return machine{
		CPU: cpu(), Cores: runtime.NumCPU(), System: system(), FileSystem: fileSystem(dir), Go: runtime.Version(), Commit: commit(),
		LoadBefore: load(),
	}
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s, %s, %s, commit %s, load %s before, %s after",
		m.CPU, m.Cores, m.System, m.FileSystem, m.Go, m.Commit, m.LoadBefore, m.LoadAfter)
}

func cpu() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		b, _ = exec.Command("sysctl", "-n", "machdep.cpu.brand_string").Output()
		return known(string(b))
	}
	for line := range bytes.Lines(b) {
		if name, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(name) == "model name" {
			return known(value)
		}
	}
	return known("")
}

func system() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return runtime.GOOS
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
}

// fileSystem is the type of what is mounted closest above dir.
func fileSystem(dir string) string {
	b, _ := os.ReadFile("/proc/self/mounts")
	kind, longest := unknown, -1
	for line := range bytes.Lines(b) {
		f := strings.Fields(string(line))
		if len(f) < 3 || len(f[1]) < longest {
			continue
		}
		if rel, err := filepath.Rel(f[1], dir); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			kind, longest = f[2], len(f[1])
		}
	}
	return kind
}

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").Output()
	if err != nil {
		return unknown
	}
	return known(string(out))
}

func load() string {
	b, _ := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(b)); len(f) > 0 {
		return f[0]
	}
	return unknown
}

func known(s string) string {
	if s = strings.TrimSpace(s); s == "" {
		return unknown
	}
	return s
}
