package main

import (
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// share makes what is the same for each platform, in $work/share: man/, completions/ and the licences of the modules.
func (r *release) share() error {
	for _, dir := range []string{"completions", "man"} {
		if err := os.MkdirAll(filepath.Join(r.work, "share", dir), 0o755); err != nil {
			return err
		}
	}
	for shell, name := range map[string]string{"bash": "idem.bash", "zsh": "_idem", "fish": "idem.fish"} {
		script, err := output("", nil, r.binary(host, "idem"), "completion", shell)
		if err != nil {
			return err
		}
		if err := os.WriteFile(r.shared("completions", name), []byte(script+"\n"), 0o644); err != nil {
			return err
		}
	}
	env, err := goEnv(host)
	if err != nil {
		return err
	}
	if _, err := output(r.src, env, "go", "run", "-trimpath", "./test/man", r.shared("man"), r.version, r.time.Format(time.DateOnly)); err != nil {
		return err
	}
	if err := os.WriteFile(r.shared("man", "idem-postgres.1"), []byte(".so man1/idem.1\n"), 0o644); err != nil {
		return err
	}
	return r.licences(env)
}

// shared is the path of a file that share has made.
func (r *release) shared(names ...string) string {
	return filepath.Join(append([]string{r.work, "share"}, names...)...)
}

// man lists the man pages.
func (r *release) man() ([]string, error) {
	return filepath.Glob(r.shared("man", "*.[1-8]"))
}

var licenceFile = regexp.MustCompile(`(?i)^[^.]*(licen[cs]e|copying|notice|patents)[^.]*(\.(txt|md))?$`)

// licences collects the licences of Go and of all modules in the programs. They require that each copy comes with them.
func (r *release) licences(env []string) error {
	modules := map[string]bool{}
	for _, p := range r.platforms {
		for _, program := range programs {
			info, err := buildinfo.ReadFile(r.binary(p, program.name))
			if err != nil {
				return err
			}
			for _, dep := range info.Deps {
				modules[dep.Path] = true
			}
		}
	}
	list := append([]string{"list", "-m", "-f", "{{.Path}} {{.Version}}\t{{.Dir}}"}, slices.Sorted(maps.Keys(modules))...)
	found, err := output(r.src, env, "go", list...)
	if err != nil {
		return err
	}
	root, err := output("", env, "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	var text bytes.Buffer
	text.WriteString("The programs idem and idem-postgres contain the software below, under these licences.\n")
	for _, line := range append([]string{"Go\t" + root}, strings.Split(found, "\n")...) {
		name, dir, _ := strings.Cut(line, "\t")
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		n := 0
		for _, e := range entries {
			if !e.Type().IsRegular() || !licenceFile.MatchString(e.Name()) {
				continue
			}
			content, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			fmt.Fprintf(&text, "\n%s\n%s: %s\n\n%s", strings.Repeat("-", 80), name, e.Name(), content)
			n++
		}
		if n == 0 {
			return fmt.Errorf("%s: no licence in %s", name, dir)
		}
	}
	return os.WriteFile(r.shared("LICENSES-third-party"), text.Bytes(), 0o644)
}

// compress writes a copy of a file as gzip, without its name and time.
func compress(source, target string) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(content); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(target, b.Bytes(), 0o644)
}
