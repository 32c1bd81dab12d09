package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// item is a file in an archive.
type item struct {
	name   string // in the archive; a directory ends with a slash
	source string
	mode   int64
	owner  int
}

// archives writes an archive for each platform, with the programs at the top: mise and asdf find them there.
func (r *release) archives() error {
	pages, err := r.man()
	if err != nil {
		return err
	}
	docs, err := r.docs()
	if err != nil {
		return err
	}
	for _, p := range r.platforms {
		var items []item
		for _, program := range programs {
			items = append(items, item{program.name, r.binary(p, program.name), 0o755, 0})
		}
		items = append(items,
			item{"LICENSE", filepath.Join(r.src, "LICENSE"), 0o644, 0},
			item{"LICENSES-third-party", r.shared("LICENSES-third-party"), 0o644, 0},
			item{"README.md", filepath.Join(r.src, "README.md"), 0o644, 0},
			item{"completions/", "", 0o755, 0},
		)
		for _, name := range []string{"_idem", "idem.bash", "idem.fish"} {
			items = append(items, item{"completions/" + name, r.shared("completions", name), 0o644, 0})
		}
		items = append(items, item{"man/", "", 0o755, 0})
		for _, section := range []string{"1", "5", "7"} {
			items = append(items, item{"man/man" + section + "/", "", 0o755, 0})
			for _, page := range pages {
				if filepath.Ext(page) == "."+section {
					items = append(items, item{path.Join("man", "man"+section, filepath.Base(page)), page, 0o644, 0})
				}
			}
		}
		items = append(items, docs...)
		if err := writeArchive(r.out("%s.tar.gz", r.archive(p)), items, r.time); err != nil {
			return err
		}
	}
	return nil
}

// archive is the name of an archive without .tar.gz.
func (r *release) archive(p platform) string { return "idem_" + r.version + "_" + p.String() }

// docs lists the pages to which README.md and the man pages lead, as docs/NAME.
func (r *release) docs() ([]item, error) { return walk(r.src, "docs") }

// walk lists a directory and what is below it. The names are those relative to root.
func walk(root, dir string) ([]item, error) {
	var items []item
	err := filepath.WalkDir(filepath.Join(root, dir), func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if e.IsDir() {
			items = append(items, item{rel + "/", "", 0o755, 0})
		} else {
			items = append(items, item{rel, name, 0o644, 0})
		}
		return err
	})
	return items, err
}

func writeArchive(target string, items []item, mtime time.Time) (err error) {
	f, err := os.Create(target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewWriterLevel(f, gzip.DefaultCompression) // the best takes three times as long, and saves 1%
	if err != nil {
		return err
	}
	if err := writeTar(z, items, mtime); err != nil {
		return err
	}
	return z.Close()
}

// writeTar writes a tar whose bytes depend on nothing but its arguments and the content of the files.
func writeTar(w io.Writer, items []item, mtime time.Time) error {
	t := tar.NewWriter(w)
	for _, it := range items {
		h := &tar.Header{Name: it.name, Mode: it.mode, Uid: it.owner, Gid: it.owner, ModTime: mtime, Format: tar.FormatUSTAR}
		h.Typeflag = tar.TypeReg
		var content []byte
		if it.source == "" {
			h.Typeflag = tar.TypeDir
		} else {
			var err error
			if content, err = os.ReadFile(it.source); err != nil {
				return err
			}
			h.Size = int64(len(content))
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(content); err != nil {
			return err
		}
	}
	return t.Close()
}
