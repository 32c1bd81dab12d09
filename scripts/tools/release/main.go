// Release makes the files of a release of idem from the commit HEAD: archives, packages, an image, and their sums. It
// publishes nothing and uses no network. scripts/release calls it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// release is what all files of a release have in common.
type release struct {
	version   string    // such as 0.1.0
	commit    string    // the release is made of it
	time      time.Time // of the commit: the time of every file
	url       string    // of the directory that will have the files
	key       string    // a file with a private key of ssh, or ""
	src       string    // the files of the commit
	platforms []platform
	work      string // a directory for all other files
	dist      string // a directory with the files of the release, until all are made
}

func main() {
	key := flag.String("key", os.Getenv("IDEM_RELEASE_KEY"), "sign with the private key of ssh in `FILE`")
	url := flag.String("url", "", "the formula and the PKGBUILD download from below `URL`")
	here := flag.Bool("here", false, "make only what is for this platform")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: scripts/release [FLAGS] VERSION")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *url, *key, *here); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// semver has no build metadata: packages and image tags cannot express it. A pre-release begins with a letter: 1.0.0-1 would
// be later than 1.0.0 in Arch Linux.
var semver = regexp.MustCompile(`^\d+\.\d+\.\d+(-[A-Za-z][0-9A-Za-z.]*)?$`)

// dist is the directory to make, in place of one that scripts/release has made before.
const dist = "dist"

func run(version, url, key string, here bool) (err error) {
	if !semver.MatchString(version) {
		return fmt.Errorf("version %q is not like 1.2.3 or 1.2.3-rc1", version)
	}
	r := &release{version: version, url: url, key: key, platforms: platforms}
	if here {
		r.platforms = []platform{host}
	}
	syscall.Umask(0o022) // of no effect on what is made
	if r.url == "" {
		r.url = "https://idem.example/releases/" + version
	}
	if r.work, err = os.MkdirTemp("", "idem-release-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work)) }()
	r.src, r.dist = filepath.Join(r.work, "src"), dist+".part"
	if err := os.RemoveAll(r.dist); err != nil {
		return err
	}
	if err := os.MkdirAll(r.dist, 0o755); err != nil {
		return err
	}
	for _, step := range []func() error{
		r.export, r.build, r.share, r.archives, r.boms, r.packages, r.image, r.recipes, r.sums, r.sign,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	return os.Rename(r.dist, dist)
}

// out is the path of a file of the release.
func (r *release) out(format string, args ...any) string {
	return filepath.Join(r.dist, fmt.Sprintf(format, args...))
}
