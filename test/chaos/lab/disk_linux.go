package lab

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

// OwnMounts calls the program again with mounts of its own, if a part that was
// asked for makes some, and ends with its status. Such mounts, and the loop
// devices below them, are gone with the last process that sees them, whatever
// ends it.
func OwnMounts(parts []string) error {
	wanted := len(parts) == 0 || slices.Contains(parts, "power") || slices.Contains(parts, "full")
	if !wanted || os.Geteuid() != 0 || os.Getenv(envMounts) != "" {
		return os.Unsetenv(envMounts)
	}
	runtime.LockOSThread() // Pdeathsig is about the thread
	c := Child(os.Args[1:]...)
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

// Disk is a file system of a part's own.
type Disk struct {
	Dir       string   // where it is mounted
	mountArgs []string // the arguments of mount(8)
}

// Tmpfs makes and mounts a disk of so many MiB in memory.
func (l *Lab) Tmpfs(dir string, size int) (*Disk, error) {
	d := &Disk{dir, []string{"-t", "tmpfs", "-o", "mode=700,size=" + strconv.Itoa(size) + "m", "tmpfs", dir}}
	return d, errors.Join(os.MkdirAll(dir, 0o700), d.Mount())
}

// Ext4 makes and mounts a disk of so many MiB in a file beside its directory,
// with more arguments for mkfs.ext4(8).
func (l *Lab) Ext4(dir string, size int, more ...string) (*Disk, error) {
	image := dir + ".img"
	f, err := os.Create(image)
	if err == nil {
		err = errors.Join(f.Truncate(int64(size)<<20), f.Close(), os.MkdirAll(dir, 0o700))
	}
	if err == nil {
		err = runTool("mkfs.ext4", append(more, "-q", "-F", "-m", "0", image)...)
	}
	d := &Disk{dir, []string{"-o", "loop,noatime", image, dir}}
	return d, errors.Join(err, d.Mount())
}

func (d *Disk) Mount() error { return runTool("mount", d.mountArgs...) }

// Sync returns when the room of removed files is there again: ext4 gives it
// back when its journal has their removal.
func (d *Disk) Sync() error {
	f, err := os.Open(d.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd())))
}

// Unmount unmounts the disk as soon as nobody uses it any more.
func (d *Disk) Unmount() error {
	for begin := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		err := unix.Unmount(d.Dir, 0)
		if !errors.Is(err, unix.EBUSY) || time.Since(begin) > ExitWithin {
			return os.NewSyscallError("umount", err)
		}
	}
}

// The ways to shut an ext4 down, from fs/ext4/ext4.h (Linux 4.10 and later).
const (
	ext4Shutdown = 0x8004587d // EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32)

	CutFreeze  = 0 // EXT4_GOING_FLAGS_DEFAULT: after everything is written
	CutFlush   = 1 // EXT4_GOING_FLAGS_LOGFLUSH: after the journal is
	CutNothing = 2 // EXT4_GOING_FLAGS_NOLOGFLUSH: with nothing that is not there yet
)

// Cut ends the disk as a power cut would: what the file system has not written
// by now is not written any more, and whoever still writes gets an error.
func (d *Disk) Cut(how int) error {
	f, err := os.Open(d.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("ioctl", unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, how))
}

// CanMount tells, by its error, why there can be no disks here.
func (l *Lab) CanMount() error {
	if os.Geteuid() != 0 {
		return rig.Skipped("needs root, to mount file systems")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		return rig.Skipped("needs mkfs.ext4 (Debian package e2fsprogs)")
	}
	d, err := l.Ext4(l.Dir+"/try", 8)
	if err != nil {
		return rig.Skipped(fmt.Sprintf("cannot mount an ext4 here: %v", err))
	}
	return d.Unmount()
}

func runTool(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
