package inputs

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"idem/hashkey"
)

// A changed script is not refused, because only inputs count. An attempt records the
// files that it runs as a detail of its inputs. Drifts compares them with the current
// files, for a note.

// The size limits of a program whose digest is taken, in bytes. They are small, so a
// digest does not slow down a first run. A larger program is identified by its size,
// time and inode.
const (
	maxScript = 1 << 20
	maxBinary = 64 << 10
)

// The roles of a program, the first byte of its detail. They pair the files of two
// calls, whose paths may differ.
const (
	roleCommand = 'c' // the command itself
	roleScript  = 's' // the script of an interpreter
)

// The forms of the rest of a detail, its second byte.
const (
	formDigest = 'd' // SHA-256
	formStat   = 'i' // size, time and inode
)

// Programs returns the files that a command line runs, as details of its inputs: the
// command, which is at path, and the script of an interpreter. It leaves out a binary
// that was found in PATH.
func Programs(path string, argv []string) hashkey.Inputs {
	var in hashkey.Inputs
	add := func(role byte, path string) {
		inPath := role == roleCommand && !strings.Contains(argv[0], "/")
		if mark := programMark(role, path, inPath); mark != nil {
			in = append(in, hashkey.Part{Kind: hashkey.KindProgram, Name: path, Value: append([]byte{role}, mark...)})
		}
	}
	add(roleCommand, path)
	if script := scriptOf(argv); script != "" {
		add(roleScript, script)
	}
	return in
}

// isShell and isInterpreter report whether a program runs the file that is its first
// argument after the options. name is without a version.
func isShell(name string) bool {
	switch name {
	case "sh", "bash", "dash", "ash", "ksh", "zsh":
		return true
	}
	return false
}

func isInterpreter(name string) bool {
	switch name {
	case "python", "ruby", "perl", "php", "node", "lua", "Rscript", "tclsh", "pwsh", "fish":
		return true
	}
	return isShell(name)
}

// takesValue reports whether an option of an interpreter is followed by its value.
func takesValue(option string) bool {
	switch option {
	case "-W", "-X", "-I", "-r", "-d", "--require":
		return true
	}
	return false
}

// scriptOf returns the file that an interpreter is to run, "" if argv is not the
// command line of an interpreter or runs no file.
func scriptOf(argv []string) string {
	name := strings.TrimRight(filepath.Base(argv[0]), "0123456789.")
	if !isInterpreter(name) {
		return ""
	}
	shell := isShell(name)
	for i := 1; i < len(argv); i++ {
		arg := argv[i]
		option := len(arg) > 1 && arg[0] == '-'
		switch {
		case option && shell && hashkey.IsScriptOption(arg):
			return "" // it runs a text
		case option && shell:
			if arg[1] != '-' && strings.ContainsAny(arg[len(arg)-1:], "oO") { // as in -euo pipefail
				i++
			}
		case option && arg[1] != '-' && strings.ContainsAny(arg[len(arg)-1:], "cem"):
			return "" // it runs a text or a module
		case option:
			if takesValue(arg) {
				i++
			}
		default:
			return arg
		}
	}
	return ""
}

// programMark returns the form and the digest of a program, nil if it cannot be read
// or is not a plain file. A command that was found in PATH has a mark only if it is
// a script.
func programMark(role byte, path string, inPath bool) []byte {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	limit := int64(maxScript)
	if role == roleCommand {
		var begin [2]byte
		if n, _ := f.ReadAt(begin[:], 0); string(begin[:n]) != "#!" {
			limit = maxBinary
			if inPath {
				return nil
			}
		}
	}
	if info.Size() > limit {
		return append([]byte{formStat}, statMark(info)...)
	}
	h := sha256.New()
	// The usual buffer of 32 KiB is as large as most programs that are read here.
	if _, err := io.CopyBuffer(h, io.LimitReader(f, limit), make([]byte, 8<<10)); err != nil {
		return nil
	}
	return h.Sum([]byte{formDigest})
}

func statMark(info fs.FileInfo) string {
	inode := uint64(0)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = st.Ino
	}
	return fmt.Sprintf("%d %d %d", info.Size(), info.ModTime().UnixNano(), inode)
}

// Drift is a program of an attempt that has changed since.
type Drift struct {
	Change Change
	Name   string // the current file; with Gone, the file that ran
	Was    string // the file that ran
}

// Change says what differs between two programs.
type Change int

// The changes.
const (
	Gone     Change = iota // the file that ran does not exist any more
	Replaced               // another file, with another content
	Edited                 // the same file, with another content
	Touched                // the same file, too large for a digest; its size, time or inode differs
)

// Drifts compares the programs in was, the inputs of an attempt, with now, the
// result of Programs for a call.
func Drifts(was, now hashkey.Inputs) []Drift {
	byRole := map[byte]hashkey.Part{}
	for _, p := range now {
		byRole[p.Value[0]] = p
	}
	var list []Drift
	for _, p := range was.Details(hashkey.KindProgram) {
		if len(p.Value) == 0 {
			continue
		}
		is, exists := byRole[p.Value[0]]
		switch {
		case !exists:
			if _, err := os.Stat(p.Name); err != nil {
				list = append(list, Drift{Gone, p.Name, p.Name})
			}
		case !bytes.Equal(is.Value, p.Value):
			list = append(list, Drift{changeOf(p, is), is.Name, p.Name})
		}
	}
	return list
}

func changeOf(was, is hashkey.Part) Change {
	switch {
	case is.Name != was.Name:
		return Replaced
	case hasForm(is, formStat) && hasForm(was, formStat):
		return Touched
	}
	return Edited
}

func hasForm(p hashkey.Part, form byte) bool { return len(p.Value) > 1 && p.Value[1] == form }

// HasData reports whether stdin is a file or a pipe from which bytes can be read at
// once.
func HasData(stdin *os.File) bool {
	info, err := stdin.Stat()
	if err != nil {
		return false
	}
	switch info.Mode().Type() {
	case 0: // a plain file
		at, err := stdin.Seek(0, io.SeekCurrent)
		return err == nil && at < info.Size()
	case fs.ModeNamedPipe:
		p := []unix.PollFd{{Fd: int32(stdin.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		return err == nil && n > 0 && p[0].Revents&unix.POLLIN != 0
	}
	return false
}
