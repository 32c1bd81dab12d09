package cmd_test

import (
	"fmt"
	"testing"
)

// Calls with mutexes on a full disk end with a true status, and leave no mutex behind.
func TestE2EMutexOnAFullDisk(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	dir := b.mountLedger("1m")
	holder := b.idem("run", "--key", "holder", "--mutex", "m", "--", "sh", "-c", "echo x >>held; until [ -e go ]; do sleep 0.01; done")
	b.waitLines("held", 1)
	free := b.fillDisk(dir)
	waiter := b.idem("run", "--key", "waiter", "--mutex", "m", "--wait", "--", "sh", "-c", "echo x >>side.waiter")
	codes := map[int]int{}
	call := func(i int, flags ...string) result {
		argv := append([]string{"run", "--key", fmt.Sprint("k", i)}, flags...)
		return b.run(append(argv, "--", "sh", "-c", "echo x >>side.$IDEM_KEY")...)
	}
	for i := range 40 {
		r := call(i, "--mutex", "m") // held
		codes[r.code]++
		if r.code != 75 && r.code != 69 {
			t.Errorf("got %+v, want 75 or 69", r)
		}
		b.wantLines(fmt.Sprint("side.k", i), 0)
		r = call(i, "--mutex", "n", "--mutex", "o")
		codes[r.code]++
		if ran, ok := map[int]int{0: 1, 69: 0, 125: 1}[r.code]; !ok {
			t.Errorf("got %+v, want one of the statuses 0, 69, 125", r)
		} else {
			b.wantLines(fmt.Sprint("side.k", i), ran)
		}
	}
	t.Logf("exit statuses: %v", codes)
	if codes[69] == 0 {
		t.Error("got no status 69, want a full disk")
	}
	free()
	b.write("go", "")
	if r := holder.wait(); r.code != 0 && r.code != 125 {
		t.Errorf("the holder: got %+v", r)
	}
	if r := waiter.wait(); r.code == 0 {
		b.wantLines("side.waiter", 1)
	} else if r.code != 69 {
		t.Errorf("the waiter: got %+v", r)
	}
	if r := b.wantStatus(b.run("list", "--mutexes"), 0); r.out != "" {
		t.Errorf("got the mutexes %s, want none in use", r.out)
	}
	for _, m := range []string{"m", "n", "o:2"} {
		b.wantStatus(b.run("run", "--key", "after:"+m, "--mutex", m, "--", "true"), 0)
	}
}

// sudo resets the environment and closes descriptors. idem run still holds the mutex until
// the command has ended.
func TestE2EMutexOfSudo(t *testing.T) {
	requireTool(t, "sudo")
	requireRoot(t) // sudo asks root for no password
	t.Parallel()
	b := newBox(t)
	holder := b.idem("run", "--key", "holder", "--mutex", "m", "--", "sudo", "sh", "-c", "echo x >>held; until [ -e go ]; do sleep 0.01; done")
	b.waitLines("held", 1)
	b.wantStatus(b.run("run", "--key", "k", "--mutex", "m", "--", "true"), 75)
	b.write("go", "")
	b.wantStatus(holder.wait(), 0)
	b.wantStatus(b.run("run", "--key", "k", "--mutex", "m", "--", "true"), 0)
}
