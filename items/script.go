package items

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// ScriptError is the error of a placeholder in the script of a shell. The shell would run
// parts of the item as commands. It is also the error of an item that the script cannot see.
type ScriptError struct {
	Shell string // the program that runs the script
	// Unused reports that the script uses its arguments, but would get the item as $0.
	Unused bool
	Safe   []string // a command line that gives the item to the script as an argument; nil if unknown
}

func (e *ScriptError) Error() string {
	if e.Unused {
		return fmt.Sprintf("the script of %s would get the item as $0, not as $1", e.Shell)
	}
	return fmt.Sprintf("a placeholder in the script of %s would run the item as commands", e.Shell)
}

// Risk is a placeholder in an argument that a program may run as code.
type Risk struct {
	Program string // ssh, or an interpreter
	Arg     int    // its index in the command line
}

func (r Risk) String() string {
	if r.Program == "ssh" {
		return fmt.Sprintf("argument %d has a placeholder, and ssh gives it to a shell on the remote host", r.Arg)
	}
	return fmt.Sprintf("argument %d has a placeholder, and %s runs it as code", r.Arg, r.Program)
}

// shell returns how a program handles -c. With ok, the first argument after the options is a
// script then. With positional, the script finds the arguments after it in $0, $1 and so on.
func shell(program string) (ok, positional bool) {
	switch program {
	case "sh", "bash", "dash", "ash", "ksh", "ksh93", "mksh", "yash", "zsh", "rbash":
		return true, true
	case "csh", "tcsh", "fish":
		return true, false
	}
	return false, false
}

// interpreters have an option whose value is a program.
var interpreters = []struct{ prefix, options string }{
	{"python", "c"}, {"pypy", "c"}, {"perl", "eE"}, {"ruby", "e"}, {"node", "ep"}, {"php", "rBRE"}, {"lua", "e"},
}

// checkScripts looks for placeholders where their value would be code. A shell may be any
// word, because other programs start it: env, sudo, nice, docker exec, find -exec.
func (t *Template) checkScripts() error {
	for i, word := range t.argv {
		program := word[strings.LastIndexByte(word, '/')+1:]
		isShell, positional := shell(program)
		script := -1
		switch {
		case isShell:
			script = scriptOf(t.argv, i)
		case program == "su", program == "runuser", program == "flock":
			script = commandOf(t.argv, i)
		case program == "ssh":
			t.risks(program, remoteOf(t.argv, i), len(t.argv))
		default:
			t.interpreter(program, i)
		}
		switch {
		case script < 0:
			continue
		case !variable(t.args[script]):
			if positional && t.nameOnly(script) {
				return &ScriptError{Shell: program, Unused: true, Safe: t.withName(script)}
			}
			continue
		}
		e := &ScriptError{Shell: program}
		if positional || program == "su" && afterUser(t.argv, i, script) {
			e.Safe = t.safe(script, program)
		}
		return e
	}
	return nil
}

// risks adds the arguments from..to that have a placeholder.
func (t *Template) risks(program string, from, to int) {
	for i := from; i < to; i++ {
		if variable(t.args[i]) {
			t.Risks = append(t.Risks, Risk{program, i})
		}
	}
	if t.appends && program == "ssh" && from < to {
		t.Risks = append(t.Risks, Risk{program, len(t.argv)})
	}
}

// interpreter adds the program of an interpreter that is word i.
func (t *Template) interpreter(program string, i int) {
	for _, in := range interpreters {
		version := strings.TrimPrefix(program, in.prefix)
		if version == program || strings.Trim(version, "0123456789.") != "" {
			continue
		}
		for i++; i < len(t.argv) && strings.HasPrefix(t.argv[i], "-"); i++ {
			if strings.ContainsAny(t.argv[i][1:], in.options) && !strings.HasPrefix(t.argv[i], "--") {
				t.risks(program, i, min(i+2, len(t.argv)))
				return
			}
		}
	}
}

// scriptOf returns the index of the script of the shell that is word i, or -1.
func scriptOf(argv []string, i int) int {
	script := false
	for i++; i < len(argv); i++ {
		switch a := argv[i]; {
		case a == "--command" || a == "--rcfile" || a == "--init-file":
			script = script || a == "--command"
			if a != "--command" {
				i++
			}
		case strings.HasPrefix(a, "--command="):
			return i
		case a == "--", a == "-":
			if i++; script && i < len(argv) {
				return i
			}
			return -1
		case strings.HasPrefix(a, "--"):
		case len(a) > 1 && (a[0] == '-' || a[0] == '+'):
			script = script || a[0] == '-' && strings.ContainsRune(a, 'c')
			i += strings.Count(a, "o") + strings.Count(a, "O") // the names of options
		case script:
			return i
		default:
			return -1
		}
	}
	return -1
}

// commandOf returns the index of the argument with the command of su, runuser and the
// like, which are word i, or -1. Their options may follow other arguments.
func commandOf(argv []string, i int) int {
	for i++; i < len(argv) && argv[i] != "--"; i++ {
		switch a := argv[i]; {
		case a == "-c" || a == "--command":
			if i+1 < len(argv) {
				return i + 1
			}
		case strings.HasPrefix(a, "-c") || strings.HasPrefix(a, "--command="):
			return i
		}
	}
	return -1
}

// remoteOf returns the index of the first word that ssh, which is word i, sends to the
// remote shell.
func remoteOf(argv []string, i int) int {
	for i++; i < len(argv); i++ {
		a := argv[i]
		if a == "--" {
			return min(i+2, len(argv))
		}
		if len(a) < 2 || a[0] != '-' {
			return i + 1 // a is the destination
		}
		if len(a) == 2 && strings.ContainsAny(a[1:], "BbcDEeFIiJLlmOoPpQRSWw") {
			i++
		}
	}
	return len(argv)
}

// afterUser reports whether more arguments of su, which is word i, would be those of the
// script: the arguments are a user, and the script is the value of -c.
func afterUser(argv []string, i, script int) bool {
	users := 0
	for j := i + 1; j < len(argv); j++ {
		if j != script && !strings.HasPrefix(argv[j], "-") {
			users++
		}
	}
	return users == 1 && argv[script-1] == "-c" && !slices.Contains(argv[i:], "--")
}

// safe returns the command line with parameters of the shell in place of the placeholders
// of a script, and the placeholders at its end. It returns nil if it does not understand
// the script.
func (t *Template) safe(script int, program string) []string {
	after := t.argv[script+1:]
	if slices.Contains(after, ";") { // of find -exec
		return nil
	}
	first, added := len(after), []string(nil) // the first argument is $0
	switch {
	case program == "su":
		first, added = 1, []string{"--", "_"}
	case first == 0:
		first, added = 1, []string{"_"}
	}
	text, placeholders, ok := parameters(t.args[script], first)
	if !ok {
		return nil
	}
	argv := slices.Clone(t.argv)
	argv[script] = text
	return slices.Concat(argv, added, placeholders)
}

// nameOnly reports whether the script of a shell uses its arguments, but gets the item only
// as $0.
func (t *Template) nameOnly(script int) bool {
	after := t.args[script+1:]
	uses := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(t.argv[script], name) })
	}
	switch {
	case uses("$0", "${0"), !uses("$1", "${1", "$@", "$*", "${@", "${*"):
		return false
	case len(after) == 0:
		return t.appends
	}
	return variable(after[0]) && !t.appends && !slices.ContainsFunc(after[1:], variable)
}

// withName returns the command line with a $0 before the item.
func (t *Template) withName(script int) []string {
	argv := slices.Insert(slices.Clone(t.argv), script+1, "_")
	if t.appends {
		argv = append(argv, t.open+t.close)
	}
	return argv
}

// parameters returns a script with "$1" and so on in place of its placeholders, and the
// placeholders. The first one is the parameter with number n.
func parameters(script []segment, n int) (text string, placeholders []string, ok bool) {
	var b []byte
	quote := byte(0) // the quotation mark that is open
	code := false    // the script has more than placeholders
	for i, s := range script {
		if s.field == literal {
			code = code || strings.Trim(s.literal, " \t\"'") != ""
			part := s.literal
			if quote, ok = quoteAfter(quote, part); !ok {
				return "", nil, false
			}
			if bytes.HasSuffix(b, []byte(`"'`)) && part[0] == '\'' {
				b, part = b[:len(b)-1], part[1:] // without a pair of quotation marks around nothing
			}
			b = append(b, part...)
			continue
		}
		at := slices.Index(placeholders, s.literal)
		if at < 0 {
			at = len(placeholders)
			placeholders = append(placeholders, s.literal)
		}
		name := fmt.Sprintf("$%d", n+at)
		next := i+1 < len(script) && script[i+1].field == literal
		if n+at > 9 || quote == '"' && next && strings.IndexByte("0123456789", script[i+1].literal[0]) >= 0 {
			name = fmt.Sprintf("${%d}", n+at)
		}
		switch {
		case quote == '"':
			b = append(b, name...)
		case quote == 0:
			b = append(b, `"`+name+`"`...)
		case b[len(b)-1] == '\'': // which opens
			b = append(b[:len(b)-1], `"`+name+`"'`...)
		default:
			b = append(b, `'"`+name+`"'`...)
		}
	}
	return string(b), placeholders, code
}

// quoteAfter returns the quotation mark that is open after a part of a script. It does not
// understand substitutions and here-documents.
func quoteAfter(quote byte, part string) (byte, bool) {
	for i := 0; i < len(part); i++ {
		switch c := part[i]; {
		case quote != '\'' && (c == '`' || strings.HasPrefix(part[i:], "$(") || strings.HasPrefix(part[i:], "<<") || c == '#' && quote == 0):
			return 0, false
		case quote != '\'' && c == '\\':
			if i++; i == len(part) {
				return 0, false
			}
		case quote == c:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		}
	}
	return quote, true
}
