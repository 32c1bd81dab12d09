package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/apk"
	_ "github.com/goreleaser/nfpm/v2/arch"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// packageName differs from idem, which is the name of another program in Debian.
const packageName = "idem-run"

var formats = []string{"apk", "archlinux", "deb", "rpm"}

const maintainer = "The idem authors <idem@idem.example>"

const description = `run a command once per key
 Runs a command once per key and replays its result ever after: payments,
 deploys and cron jobs that must not happen twice. The record survives a
 killed process and a power cut. The memory is a file on the disk (idem), or
 a database that several hosts share (idem-postgres).`

// packages writes the packages. They have no scripts: to install, upgrade or remove one never touches a ledger.
func (r *release) packages() error {
	contents, err := r.contents()
	if err != nil {
		return err
	}
	changes := filepath.Join(r.work, "changelog.yaml")
	text := fmt.Sprintf("- semver: %s\n  date: %s\n  packager: %s\n  deb: {urgency: medium, distributions: [stable]}\n"+
		"  changes:\n    - {note: \"Release %s. /usr/share/doc/%s has its changes.\"}\n",
		r.version, r.time.Format(time.RFC3339), maintainer, r.version, packageName)
	if err := os.WriteFile(changes, []byte(text), 0o644); err != nil {
		return err
	}
	for _, p := range r.platforms {
		if !p.packaged() {
			continue
		}
		for _, format := range formats {
			info := &nfpm.Info{
				Name: packageName, Arch: p.arch, Platform: p.os, Version: r.version, Release: "1", MTime: r.time,
				Section: "utils", Priority: "optional", Maintainer: maintainer, Vendor: "idem", Description: description, License: "MIT",
				Changelog: changes, DisableGlobbing: true,
			}
			info.RPM = nfpm.RPM{BuildHost: "reproducible", Group: "Applications/System", Summary: "Run a command once per key", Compression: "zstd"}
			info.ArchLinux.Packager = maintainer
			info.Contents = append(files.Contents{}, contents[format]...)
			for _, program := range programs {
				info.Contents = append(info.Contents, content("/usr/bin/"+program.name, r.binary(p, program.name), 0o755, r.time))
			}
			if err := r.pack(nfpm.WithDefaults(info), format); err != nil {
				return fmt.Errorf("%s for %s: %w", format, p, err)
			}
		}
	}
	return nil
}

func (r *release) pack(info *nfpm.Info, format string) error {
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	f, err := os.Create(r.out("%s", packager.ConventionalFileName(info)))
	if err != nil {
		return err
	}
	if err := packager.Package(info, f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// contents has the files of a package that are the same for each platform, by format.
func (r *release) contents() (map[string]files.Contents, error) {
	doc := "/usr/share/doc/" + packageName + "/"
	var all files.Contents
	add := func(target, source string) { all = append(all, content(target, source, 0o644, r.time)) }
	add("/usr/share/bash-completion/completions/idem", r.shared("completions", "idem.bash"))
	add("/usr/share/fish/vendor_completions.d/idem.fish", r.shared("completions", "idem.fish"))
	for target, source := range map[string]string{
		"changelog.gz": filepath.Join(r.src, "CHANGELOG.md"), "README.md": filepath.Join(r.src, "README.md"),
	} {
		if strings.HasSuffix(target, ".gz") {
			if err := compress(source, r.shared(target)); err != nil {
				return nil, err
			}
			source = r.shared(target)
		}
		add(doc+target, source)
	}
	pages, err := r.man()
	if err != nil {
		return nil, err
	}
	for _, page := range pages {
		if err := compress(page, page+".gz"); err != nil {
			return nil, err
		}
		add(fmt.Sprintf("/usr/share/man/man%s/%s.gz", filepath.Ext(page)[1:], filepath.Base(page)), page+".gz")
	}
	docs, err := r.docs()
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		if d.source != "" {
			add(doc+d.name, d.source)
		}
	}
	copyright := r.shared("copyright")
	if err := r.writeCopyright(copyright); err != nil {
		return nil, err
	}
	byFormat := map[string]files.Contents{}
	for _, format := range formats {
		licence, zsh := doc+"copyright", "/usr/share/zsh/site-functions/_idem"
		switch format {
		case "deb":
			zsh = "/usr/share/zsh/vendor-completions/_idem"
		case "rpm", "archlinux":
			licence = "/usr/share/licenses/" + packageName + "/LICENSE"
		}
		byFormat[format] = append(files.Contents{
			content(zsh, r.shared("completions", "_idem"), 0o644, r.time),
			content(licence, copyright, 0o644, r.time),
		}, all...)
		if format == "rpm" {
			byFormat[format] = append(byFormat[format], markDocs(byFormat[format])...)
		}
	}
	return byFormat, nil
}

// markDocs gives the files of an rpm the marks that rpm has for documents. It returns the directories of the package:
// unlike the other formats, an rpm removes only those that it names.
func markDocs(contents files.Contents) files.Contents {
	dirs := map[string]bool{}
	for i, c := range contents {
		marked := *c
		switch {
		case strings.HasPrefix(c.Destination, "/usr/share/licenses/"):
			marked.Type = files.TypeRPMLicence
		case strings.HasPrefix(c.Destination, "/usr/share/doc/"), strings.HasPrefix(c.Destination, "/usr/share/man/"):
			marked.Type = files.TypeRPMDoc
		}
		contents[i] = &marked
		for dir := path.Dir(c.Destination); strings.Contains(dir, "/"+packageName); dir = path.Dir(dir) {
			dirs[dir] = true
		}
	}
	var own files.Contents
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		own = append(own, &files.Content{Destination: dir, Type: files.TypeDir})
	}
	return own
}

func content(target, source string, mode fs.FileMode, mtime time.Time) *files.Content {
	return &files.Content{
		Source: source, Destination: target,
		FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: mtime},
	}
}

// writeCopyright writes the licences of idem and of all that its programs contain, in Debian's form.
func (r *release) writeCopyright(target string) error {
	var text strings.Builder
	text.WriteString("This package has the programs idem and idem-postgres.\n\n")
	for _, source := range []string{filepath.Join(r.src, "LICENSE"), r.shared("LICENSES-third-party")} {
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		text.Write(content)
		text.WriteString("\n")
	}
	return os.WriteFile(target, []byte(text.String()), 0o644)
}
