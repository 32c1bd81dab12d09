package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The user of the image, who has no name in it.
const nonroot = 65532

const imageDescription = "Run a command once per key. The ledger must outlive the container: docker run -v idem:/var/lib/idem. " +
	"The image has no shell: hooks, probes and most commands need an image that copies /usr/bin/idem from this one."

// image writes an OCI layout with one image per platform, as a tar.
func (r *release) image() error {
	var index v1.ImageIndex = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range r.platforms {
		if !p.packaged() {
			continue
		}
		img, err := r.platformImage(p)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.os, Architecture: p.arch}},
		})
	}
	dir := filepath.Join(r.work, "oci")
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": r.version})); err != nil {
		return err
	}
	items, err := walk(dir, ".")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := writeTar(&b, items, r.time); err != nil {
		return err
	}
	return os.WriteFile(r.out("idem_%s_oci.tar", r.version), b.Bytes(), 0o644)
}

func (r *release) platformImage(p platform) (v1.Image, error) {
	items := []item{
		{"tmp/", "", 0o1777, 0},
		{"usr/", "", 0o755, 0},
		{"usr/bin/", "", 0o755, 0},
	}
	for _, program := range programs {
		items = append(items, item{"usr/bin/" + program.name, r.binary(p, program.name), 0o755, 0})
	}
	items = append(items,
		item{"usr/share/", "", 0o755, 0},
		item{"usr/share/licenses/", "", 0o755, 0},
		item{"usr/share/licenses/idem", r.shared("copyright"), 0o644, 0},
		item{"var/", "", 0o755, 0},
		item{"var/lib/", "", 0o755, 0},
		item{"var/lib/idem/", "", 0o700, nonroot},
	)
	var files bytes.Buffer
	if err := writeTar(&files, items, r.time); err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil }
	layer, err := tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	created := v1.Time{Time: r.time}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		OS: p.os, Architecture: p.arch, Created: created, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User:       "65532:65532",
			Entrypoint: []string{"/usr/bin/idem"},
			Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin", "IDEM_LEDGER=/var/lib/idem"},
			WorkingDir: "/",
			// No Volumes: an anonymous volume would hide from idem doctor that the ledger ends with the container.
			Labels: map[string]string{
				"org.opencontainers.image.title":       "idem",
				"org.opencontainers.image.description": imageDescription,
				"org.opencontainers.image.version":     r.version,
				"org.opencontainers.image.revision":    r.commit,
				"org.opencontainers.image.created":     r.time.Format(time.RFC3339),
				"org.opencontainers.image.licenses":    "MIT",
			},
		},
	})
	if err != nil {
		return nil, err
	}
	return mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{Created: created, CreatedBy: "scripts/release"}})
}
