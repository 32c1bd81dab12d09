package cmd

import (
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
	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

// A replay does not ask whether the script that ran is still the same, because
// only inputs count. This file finds out for the people who wonder: which files
// an attempt ran is a detail of its inputs, and explain and the note of a replay
// compare it with the files of now.

// The limits of bytes of a program that are read for its digest: a first run is as
// fast as without one. A larger program is known by its size, its time and its inode.
const (
	maxScript = 1 << 20
	maxBinary = 64 << 10
)

// The roles of a program: the first byte of its detail. They pair the files of
// two calls, whose paths may differ.
const (
	roleCommand = 'c' // the command itself
	roleScript  = 's' // the script of an interpreter
)

// The forms of what follows the role: a digest, or what is known without one.
const (
	formDigest = 'd'
	formStat   = 'i'
)

// programs returns the files that a command line runs, as details: the command at
// path, unless it is a binary of PATH, and the script of an interpreter.
func programs(path string, argv []string) hashkey.Inputs {
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

// isShell and isInterpreter report whether a program, by its name without a
// version, runs the file that is its first argument behind the options.
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

// takesValue reports whether an option of an interpreter has its value behind it.
func takesValue(option string) bool {
	switch option {
	case "-W", "-X", "-I", "-r", "-d", "--require":
		return true
	}
	return false
}

// scriptOf returns the file that an interpreter is given to run, "" if argv is not
// the command line of one.
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
			return "" // a text is what runs
		case option && shell:
			if arg[1] != '-' && strings.ContainsAny(arg[len(arg)-1:], "oO") { // as in -euo pipefail
				i++
			}
		case option && arg[1] != '-' && strings.ContainsAny(arg[len(arg)-1:], "cem"):
			return "" // a text or a module
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

// programMark is what a file is known by, nil for one that cannot be read or is
// not a plain file. A command that was found in PATH has none unless it is a
// script.
func programMark(role byte, path string, inPath bool) []byte {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	if proc.Sound() != nil {
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
	if _, err := io.Copy(h, io.LimitReader(f, limit)); err != nil {
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

// drift is something that is not what it was when an attempt ran, and that does
// not count. Its flag makes it count; there may be none.
type drift struct{ name, text, flag string }

// driftOf compares the files that an attempt ran with those that a call of argv
// would run. It is for people: what cannot be found out is left out.
func driftOf(was ledger.Attempt, argv []string) []drift {
	old, err := hashkey.Decode(was.Inputs)
	if err != nil || len(argv) == 0 {
		return nil
	}
	now := map[byte]hashkey.Part{}
	if path, err := proc.LookPath(argv[0]); err == nil {
		for _, p := range programs(path, argv) {
			now[p.Value[0]] = p
		}
	}
	var list []drift
	for _, p := range old.Details(hashkey.KindProgram) {
		if len(p.Value) == 0 {
			continue
		}
		is, there := now[p.Value[0]]
		switch {
		case !there:
			if _, err := os.Stat(p.Name); err != nil {
				list = append(list, drift{p.Name, "file " + escape(p.Name) + ", which it ran, is no longer there", ""})
			}
		case string(is.Value) != string(p.Value):
			list = append(list, drift{is.Name, changedProgram(p, is), "--hash-file " + shellQuote(is.Name)})
		}
	}
	return list
}

func changedProgram(was, is hashkey.Part) string {
	name := "file " + escape(is.Name)
	switch {
	case is.Name != was.Name:
		return name + " differs from " + escape(was.Name) + ", which it ran"
	case len(is.Value) > 1 && is.Value[1] == formStat && len(was.Value) > 1 && was.Value[1] == formStat:
		return name + " may not be the one that it ran: its size, time or inode differs"
	}
	return name + " has changed since it ran"
}

// stdinDrift says that there is input which does not count.
func stdinDrift(call runner.Call) []drift {
	// With --hash-stdin, what the command reads is another file.
	if call.TTY || call.Stdin != os.Stdin || !stdinHasData() {
		return nil
	}
	return []drift{{"stdin", "stdin has data", "--hash-stdin"}}
}

// tellDrift notes, behind a replay, what is not as it was when the attempt ran.
// Where no notes are shown, it looks at nothing.
func (a *app) tellDrift(res runner.Result, call runner.Call) {
	if res.Action != runner.ActionReplay || !a.ui.notes() {
		return
	}
	for _, d := range append(driftOf(res.Record.Current, call.Argv), stdinDrift(call)...) {
		a.ui.say(noteMark, "%s", d.text)
		a.ui.say(detailMark, "it is not an input, so idem replayed the result")
		if d.flag != "" {
			a.ui.hint(flagAdvice("to make it an input", d.flag))
		}
	}
}

// uncounted is what explain says about what has changed and does not count.
func uncounted(q question) []inputState {
	var states []inputState
	if q.Record.Phase() == ledger.PhaseNone || q.Record.Phase() == ledger.PhaseRunning {
		return nil
	}
	list := driftOf(q.Record.Current, q.call.Argv)
	if q.Action == runner.ActionReplay {
		list = append(list, stdinDrift(q.call)...)
	}
	for _, d := range list {
		st := inputState{Name: d.name, State: "uncounted", Change: d.text}
		if d.flag != "" {
			st.Change += "; " + d.flag + " makes it count"
		}
		states = append(states, st)
	}
	return states
}

// stdinHasData reports whether stdin is a file or a pipe with something to be
// read.
func stdinHasData() bool {
	info, err := os.Stdin.Stat()
	if err != nil {
		return false
	}
	switch info.Mode().Type() {
	case 0: // a plain file
		at, err := os.Stdin.Seek(0, io.SeekCurrent)
		return err == nil && at < info.Size()
	case fs.ModeNamedPipe:
		p := []unix.PollFd{{Fd: int32(os.Stdin.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		return err == nil && n > 0 && p[0].Revents&unix.POLLIN != 0
	}
	return false
}
