package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/internal/rig"
)

// envMounts tells the program that its mounts are its own.
const envMounts = "CHAOS_MOUNTS"

// ownMounts calls the program again with mounts of its own, if a part that was
// asked for makes some, and ends with its status. Such mounts, and the loop
// devices below them, are gone with the last process that sees them, whatever
// ends it.
func ownMounts(parts []string) error {
	wanted := len(parts) == 0 || slices.Contains(parts, "power") || slices.Contains(parts, "full")
	if !wanted || os.Geteuid() != 0 || os.Getenv(envMounts) != "" {
		return os.Unsetenv(envMounts)
	}
	runtime.LockOSThread() // Pdeathsig is about the thread
	c := child(os.Args[1:]...)
	c.Env = append(os.Environ(), envMounts+"=own")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &unix.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if err := c.Start(); err != nil {
		return nil // the parts will say that they cannot mount
	}
	_ = c.Wait() // the state tells more
	os.Exit(max(c.ProcessState.ExitCode(), 1) * boolInt(!c.ProcessState.Success()))
	return nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// disk is a file system of a part's own.
type disk struct {
	dir   string   // where it is mounted
	mount []string // the arguments of mount(8)
}

// tmpfs makes and mounts a disk of so many MiB in memory.
func (l *lab) tmpfs(dir string, size int) (*disk, error) {
	d := &disk{dir, []string{"-t", "tmpfs", "-o", "mode=700,size=" + strconv.Itoa(size) + "m", "tmpfs", dir}}
	return d, errors.Join(os.MkdirAll(dir, 0o700), d.on())
}

// ext4 makes and mounts a disk of so many MiB in a file beside its directory,
// with more arguments for mkfs.ext4(8).
func (l *lab) ext4(dir string, size int, more ...string) (*disk, error) {
	image := dir + ".img"
	f, err := os.Create(image)
	if err == nil {
		err = errors.Join(f.Truncate(int64(size)<<20), f.Close(), os.MkdirAll(dir, 0o700))
	}
	if err == nil {
		err = tell("mkfs.ext4", append(more, "-q", "-F", "-m", "0", image)...)
	}
	d := &disk{dir, []string{"-o", "loop,noatime", image, dir}}
	return d, errors.Join(err, d.on())
}

func (d *disk) on() error { return tell("mount", d.mount...) }

// settle returns when the room of removed files is there again: ext4 gives it
// back when its journal has their removal.
func (d *disk) settle() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd())))
}

// off unmounts the disk as soon as nobody uses it any more.
func (d *disk) off() error {
	for begin := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		err := unix.Unmount(d.dir, 0)
		if !errors.Is(err, unix.EBUSY) || time.Since(begin) > linger {
			return os.NewSyscallError("umount", err)
		}
	}
}

// The ways to shut an ext4 down, from fs/ext4/ext4.h (Linux 4.10 and later).
const (
	ext4Shutdown = 0x8004587d // EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32)

	cutFreeze  = 0 // EXT4_GOING_FLAGS_DEFAULT: after everything is written
	cutFlush   = 1 // EXT4_GOING_FLAGS_LOGFLUSH: after the journal is
	cutNothing = 2 // EXT4_GOING_FLAGS_NOLOGFLUSH: with nothing that is not there yet
)

// cut ends the disk as a power cut would: what the file system has not written
// by now is not written any more, and whoever still writes gets an error.
func (d *disk) cut(how int) error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("ioctl", unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, how))
}

// mayMount tells, by its error, why there can be no disks here.
func (l *lab) mayMount() error {
	if os.Geteuid() != 0 {
		return rig.Skipped("needs root, to mount file systems")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		return rig.Skipped("needs mkfs.ext4 (Debian package e2fsprogs)")
	}
	d, err := l.ext4(l.dir+"/try", 8)
	if err != nil {
		return rig.Skipped(fmt.Sprintf("cannot mount an ext4 here: %v", err))
	}
	return d.off()
}

func tell(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
