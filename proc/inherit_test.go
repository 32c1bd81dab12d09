package proc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"idem/internal/testkit"
)

const listDescriptors = `for f in /proc/$$/fd/*; do [ ${f##*/} -gt 2 ] && echo ${f##*/} $(readlink $f); done; true`

// hidePipes makes lists comparable, because a shell has a pipe while it makes the
// list.
func hidePipes(list []byte) string {
	return regexp.MustCompile(`pipe:\[\d+\]`).ReplaceAllString(string(list), "pipe")
}

// Commands that are started in parallel get only their own descriptors.
func TestDescriptorsOfParallelCommandsDoNotMix(t *testing.T) {
	needsProc(t)
	dir := t.TempDir()
	// The test runner's open descriptors are the caller's, so each command gets them.
	plain, rec := command(t, "/bin/sh", "-c", listDescriptors)
	run(t, plain)
	before := strings.Split(hidePipes(rec.bytes(Stdout)), "\n")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			file := filepath.Join(dir, fmt.Sprint("file", i))
			f, err := os.Create(file)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			for range 5 {
				c, rec := command(t, "/bin/sh", "-c", listDescriptors)
				c.Inherit = []*os.File{f}
				run(t, c)
				got := strings.Split(hidePipes(rec.bytes(Stdout)), "\n")
				got = slices.DeleteFunc(got, func(s string) bool { return slices.Contains(before, s) })
				if len(got) != 1 || !regexp.MustCompile(`^2[78]\d `+file+"$").MatchString(got[0]) {
					t.Errorf("command %d has, besides %q: %q", i, before, got)
				}
			}
		})
	}
	all.Wait()
}

func TestChildFiles(t *testing.T) {
	const none = ^uintptr(0)
	for name, c := range map[string]struct {
		files   []uintptr
		callers []int
		limit   int
		length  int
		at      map[int]uintptr // none at the other numbers
	}{
		"nothing to inherit":        {[]uintptr{0, 5, 6}, nil, 1024, 7, map[int]uintptr{}},
		"on its number":             {[]uintptr{0, 5, 6, 9}, nil, 1024, 278, map[int]uintptr{277: 9}},
		"next to the caller's":      {[]uintptr{0, 5, 6, 9}, []int{3, 200}, 1024, 278, map[int]uintptr{3: 3, 200: 200, 277: 9}},
		"above the caller's":        {[]uintptr{0, 5, 6, 9}, []int{277, 281}, 1024, 283, map[int]uintptr{277: 277, 281: 281, 282: 9}},
		"where ForkExec uses none":  {[]uintptr{0, 5, 6, 9}, []int{283}, 1024, 285, map[int]uintptr{283: 283, 284: 9}},
		"far above":                 {[]uintptr{0, 5, 6, 9}, []int{284}, 1024, 278, map[int]uintptr{277: 9}},
		"under a low limit":         {[]uintptr{0, 5, 6, 9}, nil, 200, 111, map[int]uintptr{110: 9}},
		"under one that is too low": {[]uintptr{0, 5, 6, 9}, nil, 12, 11, map[int]uintptr{10: 9}},
		"two":                       {[]uintptr{0, 5, 6, 9, 8}, nil, 1024, 279, map[int]uintptr{277: 9, 278: 8}},
		"above idem's own":          {[]uintptr{0, 900, 6, 9}, nil, 1024, 902, map[int]uintptr{901: 9}},
	} {
		got := childFiles(c.files, func(fd int) bool { return slices.Contains(c.callers, fd) }, c.limit)
		want := slices.Clone(c.files[:3])
		for fd := 3; fd < c.length; fd++ {
			if from, ok := c.at[fd]; ok {
				want = append(want, from)
			} else {
				want = append(want, none)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestInheritedDescriptorUnderALowLimit(t *testing.T) {
	t.Parallel()
	file := write(t, "file", "content", 0o600)
	for limit, least := range map[int]string{64: "50", 30: "20"} {
		out, err := sh(t, fmt.Sprintf(`ulimit -n %d; export PROC_INHERIT=%s; exec $IDEM sh -c 'cat /dev/fd/%s'`, limit, file, least)).CombinedOutput()
		if err != nil || string(out) != "content" {
			t.Errorf("ulimit -n %d: %q, %v", limit, out, err)
		}
	}
}

// The command gets every descriptor of the caller, whatever its number, and none of
// idem's.
func TestCallersDescriptorsPassThrough(t *testing.T) {
	testkit.Slow(t, "it waits for processes that outlive the command")
	needsProc(t)
	t.Parallel()
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, holes := range [][]int{{}, {3}, {3, 4}, {4, 6, 7}, {3, 5, 7, 9, 11, 13, 15}, {3, 4, 5, 6, 7, 8, 10, 12, 14}, {7, 8, 9, 20, 21, 22}} {
		for _, extra := range []int{0, 3} {
			script := ""
			for _, fd := range append(holes, 23+extra, 24+extra) {
				script += fmt.Sprintf("exec %d>&-; ", fd)
			}
			list := func(prefix string) string {
				c := exec.Command("/bin/bash", "-c", script+prefix+" /bin/sh -c '"+listDescriptors+"'")
				for range 40 {
					c.ExtraFiles = append(c.ExtraFiles, null)
				}
				out, err := c.CombinedOutput()
				if err != nil {
					t.Fatalf("%s: %v", out, err)
				}
				return hidePipes(out)
			}
			want := list("exec")
			got := list("exec " + strings.Join(self(t, "idem"), " "))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("closed %v: %s", script, diff)
			}
		}
	}
}

// If numbers below the command's outputs are free, Go's fork moves its own pipe to
// the number above the outputs. This number may be the caller's.
func TestForkSparesTheCallersDescriptors(t *testing.T) {
	null, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	fds := []int{}
	for least := 300; least < 306; least++ { // two that will be free, two outputs, two of the caller's
		fd, err := unix.FcntlInt(uintptr(null), unix.F_DUPFD, least)
		if err != nil {
			t.Skip(err)
		}
		fds = append(fds, fd)
	}
	// Use all numbers below, so the two will be the lowest free ones.
	for {
		fd, err := unix.FcntlInt(uintptr(null), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		if fd > fds[0] {
			unix.Close(fd)
			break
		}
		defer unix.Close(fd)
	}
	out, errOut := fds[2], fds[3]
	for _, fd := range fds[:4] {
		unix.CloseOnExec(fd)
	}
	unix.Close(fds[0])
	unix.Close(fds[1])
	script := fmt.Sprintf("[ -e /proc/$$/fd/%d ] && [ -e /proc/$$/fd/%d ] && [ ! -e /proc/$$/fd/%d ]", fds[4], fds[5], fds[5]+1)
	pid, err := (&Command{}).fork(&child{}, "/bin/sh", []string{"sh", "-c", script}, nil, out, errOut, &syscall.SysProcAttr{})
	for _, fd := range fds[2:] {
		unix.Close(fd)
	}
	if err != nil {
		t.Fatal(err)
	}
	p, _ := os.FindProcess(pid)
	if state, err := p.Wait(); err != nil || !state.Success() {
		t.Errorf("got state %v, error %v; want a success", state, err)
	}
}

// The test compares everything that a process inherits besides descriptors with a run
// without idem.
func TestEnvironmentOfTheCommand(t *testing.T) {
	t.Parallel()
	probe := write(t, "probe", `
umask; pwd; ulimit -Sn; ulimit -Hn; nice; echo $FOO; cat <&5; id
[ -e /proc/self/status ] && grep '^Sig[BIC]' /proc/self/status
ps -o pgid= -o sid= -p $$
for i in "$@"; do echo "[$i]"; done`, 0o600)
	file := write(t, "five", "from 5\n", 0o600)
	for _, before := range []string{
		"",
		"umask 027; ulimit -Sn 512; cd /; export FOO=bar;",
		"trap '' HUP;", "trap '' INT;",
	} {
		var got [2]string
		for i, wrapper := range []string{"", "$IDEM"} {
			out, err := sh(t, before+wrapper+` /bin/sh `+probe+` 'a b' '' 'c
d' 5<`+file).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v", out, err)
			}
			got[i] = string(out)
		}
		if diff := cmp.Diff(got[0], got[1]); diff != "" {
			t.Errorf("%s (-without idem +with it): %s", before, diff)
		}
	}
}

func TestStdinIsTheCommandsAlone(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		`printf 'a\nb\nc\n' | while read x; do $IDEM true; echo $x; done`: "a\nb\nc\n",
		`printf 'a\nb\nc\n' | $IDEM cat`:                                  "a\nb\nc\n",
		`printf 'a\nb\nc\n' | ($IDEM true; cat)`:                          "a\nb\nc\n",
	} {
		if out, err := sh(t, script).CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%s: got %q, error %v; want %q", script, out, err, want)
		}
	}
}

// Descriptors and goroutines of a run do not accumulate.
func TestNothingIsLeftOpen(t *testing.T) {
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(names)
	}
	once := func() {
		c, _ := command(t, "/bin/sh", "-c", "head -c 3000000 /dev/zero")
		r, w := newPipe(t)
		c.Stdout = w
		e := run(t, c)
		read := make(chan []byte)
		go func() { read <- readAll(t, r) }()
		e.Flush()
		w.Close()
		<-read
		r.Close()
		missing := &Command{Path: "/no/such/thing"}
		if _, err := missing.Run(t.Context(), nil); err == nil {
			t.Error("the command ran")
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the collector would close leaked files
	once()
	before := count()
	for range 10 {
		once()
	}
	waitFor(t, "the descriptors", func() bool { return count() <= before })
}

// TestLaterDescriptorsAreNotInherited checks that the commands of a Signals get the descriptors
// of the caller, and none that this process has opened or closed since the first command.
func TestLaterDescriptorsAreNotInherited(t *testing.T) {
	needsProc(t)
	s := Catch()
	defer s.Stop()
	list := func() string {
		c, rec := command(t, "/bin/sh", "-c", listDescriptors)
		if _, err := c.Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		return hidePipes(rec.bytes(Stdout))
	}
	open, err := unix.Open(t.TempDir(), unix.O_RDONLY, 0) // without close-on-exec, as if inherited
	if err != nil {
		t.Fatal(err)
	}
	link := fmt.Sprint(open, " ")
	if got := list(); !strings.Contains(got, link) {
		t.Errorf("the first command lacks descriptor %d: %q", open, got)
	}
	if got := list(); !strings.Contains(got, link) {
		t.Errorf("the second command lacks descriptor %d: %q", open, got)
	}
	unix.CloseOnExec(open) // as a file of this process that got the number of a closed one
	defer unix.Close(open)
	if got := list(); strings.Contains("\n"+got, "\n"+link) {
		t.Errorf("a command has descriptor %d of this process: %q", open, got)
	}
}
