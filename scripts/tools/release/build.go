package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

type platform struct{ os, arch string }

// The platforms of the archives.
var platforms = []platform{
	{"linux", "amd64"},
	{"linux", "arm64"},
	{"linux", "armv7"},
	{"linux", "riscv64"},
	{"darwin", "amd64"},
	{"darwin", "arm64"},
}

// packaged reports whether packages and the image are for p.
func (p platform) packaged() bool { return p.os == "linux" && (p.arch == "amd64" || p.arch == "arm64") }

// goarch is the name that Go has for the architecture.
func (p platform) goarch() string {
	if p.arch == "armv7" {
		return "arm"
	}
	return p.arch
}

func (p platform) String() string { return p.os + "_" + p.arch }

// programs has the build tags of each program.
var programs = []struct{ name, tags string }{
	{"idem", ""},
	{"idem-postgres", "postgres"},
}

// binary is the path of a program that build has made.
func (r *release) binary(p platform, name string) string {
	return filepath.Join(r.work, p.String(), name)
}

// host is the platform of the programs that can run here.
var host = platform{runtime.GOOS, runtime.GOARCH}

// goEnv is the whole environment of Go: none of the caller's settings changes a program. Modules come from the
// cache, which scripts/release has filled.
func goEnv(p platform) ([]string, error) {
	env := []string{
		"CGO_ENABLED=0", "GOENV=off", "GOFLAGS=-mod=readonly", "GOPROXY=off", "GOTOOLCHAIN=local", "GOWORK=off", "LC_ALL=C",
		"GOOS=" + p.os, "GOARCH=" + p.goarch(), "GOARM=7",
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		value, err := output("", nil, "go", "env", name)
		if err != nil {
			return nil, err
		}
		env = append(env, name+"="+value)
	}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env, nil
}

// build makes all programs. They contain no path, no host name and no time but that of the commit.
func (r *release) build() error {
	for _, p := range r.platforms {
		env, err := goEnv(p)
		if err != nil {
			return err
		}
		flags := fmt.Sprintf("-s -w -X idem/cmd.linkedVersion=%s -X idem/cmd.linkedCommit=%s -X idem/cmd.linkedDate=%s",
			r.version, r.commit, r.time.Format(time.RFC3339))
		if p.os == "linux" && p.arch == "amd64" {
			flags += " -E=idem_start"
		}
		for _, program := range programs {
			_, err := output(r.src, env, "go", "build", "-trimpath", "-buildvcs=false", "-tags="+program.tags, "-ldflags="+flags,
				"-o", r.binary(p, program.name), ".")
			if err != nil {
				return fmt.Errorf("%s for %s: %w", program.name, p, err)
			}
		}
	}
	return nil
}
