package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tracedCommand adds a line to the file side and prints out.
var tracedCommand = []string{"--", "sh", "-c", "echo out; echo x >>side"}

func (b *box) runTraced(key string) result {
	b.t.Helper()
	return b.run(append([]string{"run", "--key", key}, tracedCommand...)...)
}

// Missing directories of the ledger are created, closed to other users whatever
// the umask.
func TestE2EMissingDirectories(t *testing.T) {
	t.Parallel()
	for _, umask := range []string{"000", "022", "777"} {
		b := newBox(t)
		b.setLedger(b.path("a/b/ledger"))
		b.wantStatus(b.run("list"), 0)
		if _, err := os.Stat(b.path("a")); err == nil {
			t.Error("got a directory after a command that only reads, want none")
		}
		b.wantStatus(b.sh("umask "+umask+"; idem run --key k -- sh -c 'umask >&2; seq 1 100000'"), 0)
		if out := b.run("logs", "--stderr", "k"); out.err != "0"+umask+"\n" {
			t.Errorf("the command's umask: got %q, want %q", out.err, "0"+umask+"\n")
		}
		err := filepath.WalkDir(b.path("a"), func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if want := map[bool]os.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; err == nil && info.Mode().Perm() != want {
				t.Errorf("umask %s: %v: got mode %v, want %v", umask, path, info.Mode(), want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// Files and directories that cannot hold a ledger are refused and stay
// unchanged.
func TestE2EBadPlaces(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.sh(`echo content >file; mkdir -m 777 open; mkdir -m 1777 sticky; mkdir -m 1700 mine; mkdir -m 770 group
		touch open/x sticky/x mine/x group/x; mkdir -m 777 parent; mkdir -m 700 parent/ledger`), 0)
	before := b.sh("find file open sticky mine group parent -printf '%p %m %s\n'").out
	for _, place := range []string{"file", "file/below", "open", "sticky", "mine", "group", "parent/ledger", "parent/new", "/proc/idem", "/dev/null"} {
		b.setLedger(b.path(place))
		if r := b.wantStatus(b.runTraced("k"), 69); !strings.HasPrefix(r.err, "idem: ledger "+b.path(place)+": ") {
			t.Errorf("%s: stderr: got %s, want it to begin with %q", place, r.err, "idem: ledger "+b.path(place)+": ")
		}
	}
	if after := b.sh("find file open sticky mine group parent -printf '%p %m %s\n'").out; after != before {
		t.Errorf("got\n%s, want\n%s", after, before)
	}
	b.wantLines("side", 0)
}

// A link of the user to the ledger leads to the same ledger. A link of another
// user is refused, and so is a link in place of a file of the ledger.
func TestE2ELinksLeadToTheSameLedger(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := b.idem("run", "--key", "k", "--", "bash", "-c", countingScript)
	b.waitLines("side", 1)
	b.wantStatus(b.sh("ln -s ledger link; ln -s link link2"), 0)
	b.setLedger(b.path("link2"))
	b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", countingScript), 75)
	b.write("go", "")
	b.wantStatus(first.wait(), 0)
	b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", countingScript), 0)
	b.wantLines("side", 1)
	if os.Geteuid() == 0 {
		b.wantStatus(b.sh("chown -h 65534 link2"), 0)
		b.wantStatus(b.runTraced("new"), 69)
	}
	b.setLedger(b.path("ledger"))
	for _, name := range []string{"ledger.db", "locks"} {
		at := b.path("ledger/" + name)
		b.wantStatus(b.sh("mv "+at+" elsewhere; ln -s ../elsewhere "+at), 0)
		b.wantStatus(b.runTraced("new"), 69)
		b.wantStatus(b.run("list"), 69)
		b.wantStatus(b.sh("rm "+at+"; mv elsewhere "+at), 0)
	}
	b.wantStatus(b.sh("mkdir empty; chmod 700 empty; touch victim; ln -s ../victim empty/ledger.db; ln -s ../victim empty/init.lock; ln -s ../victim empty/locks"), 0)
	b.setLedger(b.path("empty"))
	b.wantStatus(b.runTraced("new"), 69)
	if s := b.read("victim"); s != "" {
		t.Errorf("the link's target: got %q, want nothing", s)
	}
	b.wantLines("side", 1)
}

// A second path to the same directory leads to the same ledger. A second name
// of a file in another directory is refused on both sides.
func TestE2ESecondPath(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.runTraced("old"), 0)
	for _, name := range []string{"ledger.db", "locks"} {
		b.wantStatus(b.sh("mkdir -m 700 second; ln ledger/"+name+" second/"+name), 0)
		for _, place := range []string{"second", "ledger"} {
			b.setLedger(b.path(place))
			b.wantStatus(b.runTraced("new"), 69)
			b.wantStatus(b.runTraced("old"), 69)
		}
		b.wantStatus(b.sh("rm -r second"), 0)
	}
	b.wantStatus(b.runTraced("old"), 0)
	b.wantLines("side", 1)
}

func TestE2EBindMount(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	b := newBox(t)
	b.wantStatus(b.runTraced("old"), 0)
	second := b.path("second")
	b.wantStatus(b.sh("mkdir -m 700 second"), 0)
	if err := mount("--bind", b.ledger, second); err != nil {
		skipMissing(t, "the right to mount: "+err.Error())
	}
	defer func() { _ = unmount(second) }()
	first := b.idem("run", "--key", "k", "--", "bash", "-c", "echo x >>ready\n"+countingScript)
	b.waitLines("ready", 1)
	b.setLedger(second)
	b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", "echo x >>ready\n"+countingScript), 75)
	b.wantStatus(b.runTraced("old"), 0)
	b.wantStatus(b.runTraced("new"), 0)
	b.write("go", "")
	b.wantStatus(first.wait(), 0)
	b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", "echo x >>ready\n"+countingScript), 0)
	b.wantLines("ready", 1)
}

// A ledger behind FUSE is refused, although it is a valid one below.
func TestE2ELedgerBehindFUSEIsRefused(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	requireTool(t, "bindfs")
	b := newBox(t)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Log("this kernel has no FUSE, so there is nothing to refuse")
		return
	}
	b.wantStatus(b.runTraced("old"), 0)
	b.wantStatus(b.sh("mkdir -m 700 mnt"), 0)
	mnt := b.path("mnt")
	if out, err := exec.Command("bindfs", b.dir, mnt).CombinedOutput(); err != nil {
		t.Logf("FUSE does not work here, so there is nothing to refuse: %s", out)
		return
	}
	defer func() {
		if err := unmount(mnt); err != nil {
			t.Error(err)
		}
	}()
	for _, place := range []string{"mnt/ledger", "mnt/new"} {
		b.setLedger(b.path(place))
		for _, r := range []result{b.runTraced("new"), b.runTraced("old")} {
			if b.wantStatus(r, 69); !strings.Contains(r.err, "FUSE") {
				t.Errorf("stderr: got %s, want it with %q", r.err, "FUSE")
			}
		}
	}
	if _, err := os.Stat(b.path("new/ledger.db")); err == nil {
		t.Error("got a new ledger, want none")
	}
	b.wantLines("side", 1)
}

// A ledger of another user is refused.
func TestE2EOtherOwner(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	b := newBox(t)
	b.wantStatus(b.runTraced("old"), 0)
	if err := syscall.Chmod(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b.wantStatus(b.sh("chown -R 65534 ledger"), 0)
	b.wantStatus(b.runTraced("old"), 69)
	b.wantStatus(b.run("list"), 69)
	b.wantLines("side", 1)
}
