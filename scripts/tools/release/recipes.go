package main

import (
	_ "embed"
	"os"
	"strings"
	"text/template"
)

// How two package managers install the archives: a formula of Homebrew and a PKGBUILD of Arch Linux.
var (
	//go:embed idem.rb.tmpl
	formula string
	//go:embed PKGBUILD.tmpl
	pkgbuild string
)

// recipes writes both, with the sums of the archives. They name all archives, so --here leaves them out.
func (r *release) recipes() error {
	if len(r.platforms) < len(platforms) {
		return nil
	}
	sums := map[string]string{}
	for _, p := range r.platforms {
		sum, err := r.sum(r.archive(p) + ".tar.gz")
		if err != nil {
			return err
		}
		sums[p.String()] = sum
	}
	// Arch Linux allows no hyphen in a version. pacman puts 1.0.0rc1 before 1.0.0, so the version of a 1.0.0-rc1 loses its own.
	data := map[string]any{"Version": r.version, "PkgVersion": strings.ReplaceAll(r.version, "-", ""), "URL": r.url, "Sum": sums}
	for name, text := range map[string]string{"idem.rb": formula, "PKGBUILD": pkgbuild} {
		var b strings.Builder
		if err := template.Must(template.New(name).Parse(text)).Execute(&b, data); err != nil {
			return err
		}
		if err := os.WriteFile(r.out("%s", name), []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
