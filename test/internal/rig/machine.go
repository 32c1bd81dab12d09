package rig

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

// Machine describes the machine and the commit of a measurement, without names of hosts
// or users.
type Machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	System     string `json:"system"` // with the version of the kernel
	FileSystem string `json:"file_system"`
	Go         string `json:"go"`
	Commit     string `json:"commit"`
	LoadBefore string `json:"load_before"` // the load average of one minute
	LoadAfter  string `json:"load_after"`
}

// Unknown is the value of a field that could not be determined.
const Unknown = "not known"

// Describe describes the machine, with the file system of dir. program is the path of the
// idem to test. The commit is known only if it is "", because idem is then built here.
func Describe(dir, program string) Machine {
	m := Machine{
		CPU: cpu(), Cores: runtime.NumCPU(), System: system(), FileSystem: fileSystem(dir), Go: runtime.Version(), Commit: Unknown,
		LoadBefore: LoadAverage(),
	}
	if program == "" {
		m.Commit = commit()
	}
	return m
}

// Kind returns the description without commit and load.
func (m Machine) Kind() string {
	return fmt.Sprintf("%s, %d cores, %s, %s, %s", m.CPU, m.Cores, m.System, m.FileSystem, m.Go)
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, commit %s, load %s before, %s after", m.Kind(), m.Commit, m.LoadBefore, m.LoadAfter)
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

// fileSystem returns the type of the file system of dir.
func fileSystem(dir string) string {
	b, _ := os.ReadFile("/proc/self/mounts")
	kind, longest := Unknown, -1
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

// Figures is the directory of the figures of full runs, relative to the module.
const Figures = "docs/figures"

// commit returns the commit that idem is built from, with +dirty if the working
// tree differs from it.
func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return Unknown
	}
	if dirty() {
		return known(string(out)) + "+dirty"
	}
	return known(string(out))
}

// dirty reports whether the working tree may have changes outside of Figures and the
// generated pages. It returns true without git and outside of a repository.
func dirty() bool {
	change, err := exec.Command("git", "status", "--porcelain", "--", ":(top)", ":(top,exclude)"+Figures, ":(top,exclude)docs/guarantees.md", ":(top,exclude)README.md").Output()
	return err != nil || len(change) > 0
}

// LoadAverage returns the load average of the last minute.
func LoadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(b)); len(f) > 0 {
		return f[0]
	}
	return Unknown
}

// known returns the trimmed text, or Unknown if it is empty.
func known(s string) string {
	if s = strings.TrimSpace(s); s == "" {
		return Unknown
	}
	return s
}
