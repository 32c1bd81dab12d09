package cmd_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// refusedPlaces are places that idem refuses, for a user without privileges.
// Root creates them in the box, which every user may read. Each line of mends
// repairs the place alone. NAME is the box's directory.
var refusedPlaces = map[string]struct {
	make  string // by root
	place string // in the box
	root  bool   // root makes the call, not user 4242 of group 4242
	mends []string
	also  string // run before the first call, by its caller
}{
	"no right to make it": {
		make: `mkdir -p var/lib`, place: "var/lib/deploys",
		mends: []string{`sudo install -d -m 0700 -o "$(id -u)" NAME/var/lib/deploys`},
	},
	"no right to make it, nor what is above": {
		make: `mkdir -p var/lib`, place: "var/lib/a/b",
		mends: []string{`sudo install -d -m 0700 -o "$(id -u)" NAME/var/lib/a/b`},
	},
	"made by sudo mkdir": {
		make: `mkdir -p var/lib/deploys`, place: "var/lib/deploys",
		mends: []string{`sudo install -d -m 0700 -o "$(id -u)" NAME/var/lib/deploys`},
	},
	"a fresh volume, for a user": {
		make: `mkdir -p data/lost+found; chmod 700 data/lost+found`, place: "data",
		mends: []string{`sudo install -d -m 0700 -o "$(id -u)" NAME/data/idem && --ledger NAME/data/idem`},
	},
	"a fresh volume, for root": {
		make: `mkdir -p data/lost+found; chmod 700 data/lost+found`, place: "data", root: true,
		mends: []string{`--ledger NAME/data/idem`},
	},
	"fsGroup": {
		make: `mkdir data; chgrp 4242 data; chmod 2775 data`, place: "data",
		mends: []string{`--trust-place --ledger NAME/data/idem`},
	},
	"below fsGroup": {
		make: `mkdir data; chgrp 4242 data; chmod 2775 data`, place: "data/idem",
		mends: []string{`sudo chmod +t NAME/data`, `--trust-place`},
	},
	"fsGroup has opened the ledger": {
		make: `mkdir data; chgrp 4242 data; chmod 2775 data`, place: "data/idem",
		also:  `idem --trust-place run --key before -- true; chmod 2770 data/idem; export IDEM_TRUST_PLACE=1`,
		mends: []string{`chmod 0700 NAME/data/idem`},
	},
	"emptyDir": {
		make: `mkdir -m 777 data`, place: "data",
		mends: []string{`--trust-place --ledger NAME/data/idem`},
	},
	"below emptyDir": {
		make: `mkdir -m 777 data`, place: "data/idem",
		mends: []string{`sudo chmod +t NAME/data`, `--trust-place`},
	},
	"below emptyDir, for root": {
		make: `mkdir -m 777 data`, place: "data/idem", root: true,
		mends: []string{`chmod +t NAME/data`, `--trust-place`},
	},
	"a directory for all, such as /tmp": {
		make: `mkdir -m 1777 data`, place: "data",
		mends: []string{`--ledger NAME/data/idem`},
	},
	"a directory that a group may write": {
		make: `mkdir data; chown 4242:0 data; chmod 775 data`, place: "data/idem",
		mends: []string{`chmod go-w NAME/data`, `--trust-place`},
	},
	"a directory of one's own with other things": {
		make: `mkdir data; touch data/Makefile; chown -R 4242 data`, place: "data",
		mends: []string{`--ledger NAME/data/idem`},
	},
	"one with other things that all may write": {
		make: `mkdir -m 777 data; touch data/Makefile; chown -R 4242 data`, place: "data",
		mends: []string{`chmod 0700 NAME/data`},
	},
	"a ledger that was opened": {
		make: `mkdir data; chown 4242 data`, place: "data",
		also:  `idem run --key before -- true; chmod 755 data`,
		mends: []string{`chmod 0700 NAME/data`},
	},
	"a ledger that was made sticky": {
		make: `mkdir data; chown 4242 data`, place: "data",
		also:  `idem run --key before -- true; chmod 1700 data`,
		mends: []string{`chmod 0700 NAME/data`},
	},
	"a ledger of root": {
		make: `idem --ledger data run --key before -- true`, place: "data",
		mends: []string{`sudo chown -R "$(id -u)" NAME/data`},
	},
	"a ledger of another user, for root": {
		make: `idem --ledger data run --key before -- true; chown -R 4242 data`, place: "data", root: true,
		mends: []string{`chown -R "$(id -u)" NAME/data`},
	},
	"an empty directory of another user, for root": {
		make: `mkdir data; chown 4242 data`, place: "data", root: true,
		mends: []string{`install -d -m 0700 -o "$(id -u)" NAME/data`},
	},
	"below a directory of another user": {
		make: `mkdir data; chown 4243 data; mkdir -m 700 data/idem; chown 4242 data/idem`, place: "data/idem",
		mends: []string{`--ledger NAME/home/.local/state/idem`, `--trust-place`},
	},
	"a link of another user": {
		make: `mkdir -m 700 data; ln -s data link; chown -h 4243 link; chown 4242 data`, place: "link",
		mends: []string{`sudo chown -h "$(id -u)" NAME/link`},
	},
	"no right to write the ledger": {
		make: `mkdir data; chown 4242 data`, place: "data",
		also:  `idem run --key before -- true; chmod 400 data/ledger.db* data/locks`,
		mends: []string{`chmod -R u+rwX NAME/data`},
	},
	"no right to enter the ledger": {
		make: `mkdir data; chown 4242 data`, place: "data",
		also:  `idem run --key before -- true; chmod 000 data`,
		mends: []string{`chmod -R u+rwX NAME/data`},
	},
	"below a directory that is closed": {
		make: `mkdir -m 700 data`, place: "data/idem",
		mends: []string{`--ledger NAME/home/.local/state/idem`},
	},
}

// Each refusal of a place names the line that repairs it, and that line works.
func TestE2ERefusedPlacesAreMended(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	for name, test := range refusedPlaces {
		for i := range test.mends {
			t.Run(name+" "+strconv.Itoa(i+1), func(t *testing.T) {
				t.Parallel()
				b := newBox(t)
				for _, dir := range []string{b.dir + "/..", b.dir} {
					if err := os.Chmod(dir, 0o755); err != nil {
						t.Fatal(err)
					}
				}
				b.wantStatus(b.sh("set -e; umask 022; mkdir home; chown 4242 home; "+test.make), 0)
				if !test.root {
					b.user = &syscall.Credential{Uid: 4242, Gid: 4242}
				}
				b.env = append(b.env, "HOME="+b.path("home"))
				b.setLedger(b.path(test.place))
				if strings.Contains(test.also, "export IDEM_TRUST_PLACE=1") {
					b.env = append(b.env, "IDEM_TRUST_PLACE=1")
				}
				b.wantStatus(b.sh("set -e; "+test.also), 0)
				call := []string{"run", "--key", "k", "--", "sh", "-c", `echo "$IDEM_LEDGER"; idem run --key inner -- true`}
				r := b.wantStatus(b.run(call...), 69)
				var flags []string
				hints := mendsIn(t, r.err)
				if want := strings.ReplaceAll(strings.Join(test.mends, "\n"), "NAME", b.dir); strings.Join(hints, "\n") != want {
					t.Errorf("got the hints\n%s\nwant\n%s\n%s", strings.Join(hints, "\n"), want, r.err)
				}
				for _, line := range strings.Split(hints[min(i, len(hints)-1)], " && ") {
					if strings.HasPrefix(line, "--") {
						flags = strings.Fields(line)
						continue
					}
					b.wantStatus(b.paste(line), 0)
				}
				for range 2 {
					r := b.wantStatus(b.run(append(flags, call...)...), 0)
					if place := strings.TrimSpace(r.out); !isPrivate(t, place) {
						t.Errorf("%s: got a place that is open to other users, want a private one", place)
					}
				}
			})
		}
	}
}

// mendsIn returns the command lines of the hints in stderr. Two hints count as
// one if the second continues the first.
func mendsIn(t *testing.T, stderr string) []string {
	t.Helper()
	var mends []string
	for line := range strings.Lines(stderr) {
		hint, ok := strings.CutPrefix(strings.TrimSpace(line), "idem: hint: ")
		if !ok {
			continue
		}
		more := strings.HasPrefix(hint, "after that, ")
		if i := strings.LastIndex(hint, ": "); i >= 0 {
			hint = hint[i+2:]
		}
		if more {
			mends[len(mends)-1] += " && " + hint
		} else {
			mends = append(mends, hint)
		}
	}
	if len(mends) == 0 {
		t.Fatalf("stderr: got %s, want a hint", stderr)
	}
	return mends
}

// paste runs a line in a shell of the box's user. Root runs a command after
// sudo, with the words that the user's shell has expanded.
func (b *box) paste(line string) result {
	b.t.Helper()
	if !strings.HasPrefix(line, "sudo ") {
		return b.sh(line)
	}
	user := *b
	r := user.sh(`sudo() { printf '%s\n' "$@"; }; ` + line)
	if r.code != 0 {
		return r
	}
	words := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
	b.user, user.user = nil, b.user
	defer func() { b.user = user.user }()
	return b.start(append([]string{"env"}, words...), func(c *exec.Cmd) { c.Path = "/usr/bin/env" }).wait()
}

func isPrivate(t *testing.T, dir string) bool {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm() == 0o700
}

// An empty directory of the user is made private and used, whatever its mode.
func TestE2EEmptyDirectoryIsTaken(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"755", "775", "777", "1777", "2775", "700"} {
		b := newBox(t)
		b.wantStatus(b.sh("mkdir ledger; chmod "+mode+" ledger"), 0)
		before := b.sh("stat -c %a ledger").out
		if r := b.wantStatus(b.run("list"), 0); !strings.Contains(r.err, "nothing has been recorded there") {
			t.Errorf("%s: got stderr %s, want a word about the ledger that is not there", mode, r.err)
		}
		if after := b.sh("stat -c %a ledger").out; after != before {
			t.Errorf("%s: list changed the mode: got %s, want %s", mode, after, before)
		}
		b.wantStatus(b.runTraced("k"), 0)
		b.wantStatus(b.runTraced("k"), 0)
		b.wantLines("side", 1)
		if !isPrivate(t, b.path("ledger")) {
			t.Errorf("%s: got an open directory, want a private one", mode)
		}
	}
}

// With --trust-place, every user may write to the parents of the ledger. A
// ledger that belongs to another user is still refused.
func TestE2ETrustedPlaceIsStillOurs(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	for name, spoil := range map[string]string{
		"another owner":          `chown 4243 data/idem`,
		"open":                   `chmod 770 data/idem`,
		"a link of another user": `mv data/idem data/real; ln -s real data/idem; chown -h 4243 data/idem`,
		"a ledger.db elsewhere":  `mv data/idem/ledger.db data/; ln -s ../ledger.db data/idem/`,
	} {
		b := newBox(t)
		b.wantStatus(b.sh(`mkdir -m 777 data`), 0)
		b.setLedger(b.path("data/idem"))
		b.env = append(b.env, "IDEM_TRUST_PLACE=1")
		b.wantStatus(b.runTraced("k"), 0)
		b.wantStatus(b.sh(spoil), 0)
		for _, key := range []string{"k", "new"} {
			if r := b.runTraced(key); r.code != 69 {
				t.Errorf("%s: %s: got %+v, want status 69", name, key, r)
			}
		}
		b.wantLines("side", 1)
	}
}
