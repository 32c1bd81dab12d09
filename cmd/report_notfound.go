package cmd

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"idem/hashkey"
	"idem/proc"
)

// Words that only a shell knows, often without a program of the name. The words of
// shellState change the shell that runs them, so they have no effect in a shell of
// just that command.
const (
	shellState = ". source alias cd declare dirs export local popd pushd readonly set shopt typeset ulimit umask unalias unset"
	shellWords = "! (( : [ [[ bg bind break builtin caller case command compgen complete continue coproc disown echo enable eval exec " +
		"exit false fc fg for function getopts hash help history if jobs kill let logout mapfile printf pwd read readarray return select " +
		"shift suspend test time times trap true type until wait while {"
)

// isWord reports whether name is one of words.
func isWord(name, words string) bool { return slices.Contains(strings.Fields(words), name) }

// isAssignment reports whether a word sets a variable, as a shell reads it.
func isAssignment(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	return ok && isName(strings.TrimSuffix(name, "+"), "")
}

// isName reports whether s is made of letters, digits and the characters of more,
// with a letter or "_" first.
func isName(s, more string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		other := r >= '0' && r <= '9' || strings.ContainsRune(more, r)
		if !letter && (i == 0 || !other) {
			return false
		}
	}
	return s != ""
}

// placeholder is the text in a hint for a command that only the user knows.
const placeholder = "COMMAND"

// hintStart adds a hint to f, the failure of a command that could not be started. The
// hint is a command line that probably works, if there is one. argv is the command as
// it was given.
func (a *app) hintStart(f *failure, argv []string, keep retention) {
	var start *proc.StartError
	if !errors.As(f.err, &start) || keep.omit.args {
		return
	}
	m := startHinter{app: a, keep: keep, f: f, argv: argv}
	if start.Code == proc.NotFound {
		m.notFound()
	} else {
		m.cannotRun(start)
	}
}

// startHinter adds hints to f, the failure of a call whose command argv did not start.
type startHinter struct {
	app  *app
	keep retention
	f    *failure
	argv []string
}

// hint adds the call with another command and the same flags.
func (m *startHinter) hint(why string, command ...string) { m.hintAfter(why, "", command) }

// hintAfter is hint with first, a text of the shell before the call. If a part of the
// call is masked, the line is a comment of the shell. A pasted masked line would run
// another command, or the command under another key.
func (m *startHinter) hintAfter(why, first string, command []string) {
	call, whole := m.app.callLine(m.keep, m.argv, "", command)
	if !whole {
		m.f.hint("%s (replace the masked parts): # %s%s", why, first, call)
		return
	}
	m.f.hintRun(why, "%s%s", first, call)
}

// callLine returns the line of a call that has another command than this one, argv, and
// further flags, which are words for a shell. The line may be shown. whole reports whether
// nothing in it is masked.
func (a *app) callLine(keep retention, argv []string, flags string, command []string) (line string, whole bool) {
	before := a.args[:max(0, len(a.args)-len(argv))]
	if n := len(before); n > 0 && before[n-1] == "--" {
		before = before[:n-1]
	}
	if n := len(before) - 2; n > 0 && before[n] == "--wait" && !strings.HasPrefix(before[n+1], "-") {
		before = append(before[:n:n], "--wait="+before[n+1]) // without "=", only a "--" may follow
	}
	shown, rest := keep.argv(before), keep.argv(command)
	whole = slices.Equal(shown, before) && slices.Equal(rest, command)
	line = "idem " + shellLine(shown)
	if flags != "" {
		line += " " + flags
	}
	return line + " -- " + shellLine(rest), whole
}

// argv returns a command line as it may be shown.
func (k retention) argv(argv []string) []string { return k.inputs(hashkey.Argv(argv)).Mask().Argv() }

func (m *startHinter) notFound() {
	name, rest := m.argv[0], m.argv[1:]
	words := strings.Fields(name)
	isFile := func(path string) bool { info, err := os.Stat(path); return err == nil && info.Mode().IsRegular() }
	home := os.Getenv("HOME")
	switch {
	case len(rest) == 0 && strings.ContainsAny(name, " \t\n|&;<>()$`\"'"):
		m.hint("to run a shell command line", anyShell(), "-c", name)
	case isAssignment(name):
		command := slices.Clone(m.argv)
		if !slices.ContainsFunc(command, func(word string) bool { return !isAssignment(word) }) {
			command = append(command, placeholder)
		}
		m.hint("to set a variable for the command", append([]string{"env"}, command...)...)
	case isWord(name, shellState):
		m.hint(name+" changes the shell it runs in", anyShell(), "-c", shellLine(m.argv)+" && "+placeholder)
	case isWord(name, shellWords):
		m.hint(name+" is built into the shell", anyShell(), "-c", strings.TrimSpace(name+" "+shellLine(rest)))
	case os.Getenv("BASH_FUNC_"+name+"%%") != "":
		m.hint(name+" is a function of bash", functionCall(m.argv)...)
	case strings.HasPrefix(name, "~/") && home != "":
		m.hint("the shell did not expand ~", append([]string{home + name[1:]}, rest...)...)
	case len(words) > 1 && isCommand(words[0]):
		m.hint("words in quotes are one argument", append(words, rest...)...)
	case !strings.Contains(name, "/") && isFile(name):
		m.hint("to run a file in the working directory", append([]string{"./" + name}, rest...)...)
	case isName(name, ":.-") && isCommand("bash"):
		m.hintAfter("if "+name+" is a function of bash", "export -f "+shellQuote(name)+" && ", functionCall(m.argv))
	}
}

// functionCall returns the command that calls an exported function of bash.
func functionCall(argv []string) []string {
	return append([]string{"bash", "-c", argv[0] + ` "$@"`}, argv...)
}

func (m *startHinter) cannotRun(start *proc.StartError) {
	file := start.File
	info, err := os.Stat(file)
	if err != nil {
		if !strings.Contains(m.argv[0], "/") && start.File != "" { // a directory cannot be searched, so the program may not exist
			m.notFound()
		}
		return
	}
	shebang, text := proc.Shebang(file)
	cut := len(shebang) > 0 && strings.HasSuffix(shebang[len(shebang)-1], "\r")
	switch {
	case info.IsDir():
		command := placeholder
		if len(m.argv) > 1 {
			command = shellLine(m.argv[1:])
		}
		m.hint("to run a command in it", "sh", "-c", "cd "+shellQuote(file)+" && "+command)
	case !info.Mode().IsRegular():
	case cut:
		line := `sed -i 's/\r$//' `
		if runtime.GOOS != "linux" { // sed may know neither -i nor \r
			line = `perl -pi -e 's/\r$//' `
		}
		m.f.hintRun("to convert its line ends", "%s%s", line, shellQuote(file))
	case errors.Is(start.Err, unix.EACCES):
		if info.Mode()&0o111 == 0 {
			m.f.hintRun("to make it executable", "chmod +x %s", shellQuote(file))
		}
		fallthrough
	case errors.Is(start.Err, unix.ENOENT):
		if reader := interpreterOf(shebang); text && reader != nil && unix.Access(file, unix.R_OK) == nil {
			m.hint("to run it with "+filepath.Base(reader[0]), append(append(reader, file), m.argv[1:]...)...)
		}
	}
}

// interpreterOf returns the interpreter of a script and its options, from the words of
// the shebang line. It returns nil if the interpreter does not exist here.
func interpreterOf(shebang []string) []string {
	switch {
	case len(shebang) == 0:
		return []string{"sh"}
	case filepath.Base(shebang[0]) == "env" && len(shebang) > 1:
		shebang = strings.Fields(strings.TrimPrefix(shebang[1], "-S "))
	case !isCommand(shebang[0]):
		shebang = append([]string{filepath.Base(shebang[0])}, shebang[1:]...)
	}
	if len(shebang) == 0 || !isCommand(shebang[0]) {
		return nil
	}
	return shebang
}

// isCommand reports whether name is a command that can be started.
func isCommand(name string) bool {
	_, err := proc.LookPath(name)
	return err == nil
}

// anyShell returns bash if it exists, else sh. Most command lines are written for
// bash.
func anyShell() string {
	if isCommand("bash") {
		return "bash"
	}
	return "sh"
}
