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

// envMounts marks a process that has its own mount namespace.
const envMounts = "CHAOS_MOUNTS"

// OwnMounts runs the program again in a new mount namespace, if one of the parts
// mounts file systems, and exits with its status. The mounts and their loop devices
// end with the last process of the namespace, also if that is killed.
func OwnMounts(parts []string) error {
	wanted := len(parts) == 0 || slices.Contains(parts, "power") || slices.Contains(parts, "full")
	if !wanted || os.Geteuid() != 0 || os.Getenv(envMounts) != "" {
		return os.Unsetenv(envMounts)
	}
	runtime.LockOSThread() // Pdeathsig is sent when the thread ends
	c := Child(os.Args[1:]...)
	c.Env = append(os.Environ(), envMounts+"=own")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &unix.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if err := c.Start(); err != nil {
		return nil // the parts report that they cannot mount
	}
	_ = c.Wait() // the process state has the details
	os.Exit(max(c.ProcessState.ExitCode(), 1) * boolInt(!c.ProcessState.Success()))
	return nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Disk is a file system that only one part uses.
type Disk struct {
	Dir       string   // where it is mounted
	mountArgs []string // the arguments of mount(8)
}

// Tmpfs makes and mounts a disk of size MiB in memory.
func (l *Lab) Tmpfs(dir string, size int) (*Disk, error) {
	d := &Disk{dir, []string{"-t", "tmpfs", "-o", "mode=700,size=" + strconv.Itoa(size) + "m", "tmpfs", dir}}
	return d, errors.Join(os.MkdirAll(dir, 0o700), d.Mount())
}

// Ext4 makes and mounts a disk of size MiB in the file dir.img. more are arguments for
// mkfs.ext4(8).
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

// Sync returns when the space of removed files is free. ext4 frees it when its journal
// has the removal.
func (d *Disk) Sync() error {
	f, err := os.Open(d.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd())))
}

// Unmount unmounts the disk as soon as no process uses it.
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

	CutFreeze  = 0 // EXT4_GOING_FLAGS_DEFAULT: after writing everything
	CutFlush   = 1 // EXT4_GOING_FLAGS_LOGFLUSH: after writing the journal
	CutNothing = 2 // EXT4_GOING_FLAGS_NOLOGFLUSH: without writing anything
)

// Cut ends the disk as a power cut does: the file system writes nothing more, and writes
// of processes fail.
func (d *Disk) Cut(how int) error {
	f, err := os.Open(d.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("ioctl", unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, how))
}

// CanMount returns an error with the reason if this machine cannot mount disks.
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

// WriteBack writes n bytes of f from an offset on to the disk, and returns when they are there. It
// does not write what the disk needs to find them.
func WriteBack(f *os.File, at, n int64) error {
	const now = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	return os.NewSyscallError("sync_file_range", unix.SyncFileRange(int(f.Fd()), at, n, now))
}
