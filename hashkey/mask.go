package hashkey

import (
	"regexp"
	"strings"
	"sync"
)

// Masked is shown in place of a text that may be a secret.
const Masked = "[masked]"

// redacted is redact.Mark. It is already free of secrets, so it is shown as it is.
const redacted = "[redacted]"

// masked returns the text to show in place of a secret.
func masked(secret string) string {
	if secret == "" || secret == redacted {
		return secret
	}
	return Masked
}

// secretNames matches the end of a name whose value is usually a secret.
const secretNames = `(?:password|passwd|passphrase|passcode|secret|token|credentials?` +
	`|api[-_.]?key|(?:access|secret|auth|account|shared|encryption|master|signing|webhook|license|client)[-_.]?key` +
	`|(?:^|[-_.])pass|sshpass|[-_.]pwd|[-_.]pat|redis(?:cli)?_auth)`

// secretText matches a value in a script or a configuration: quoted and plain
// parts, up to a space or a separator.
const secretText = `((?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'\\;&|])+)`

// masks returns the expressions of Mask. Each has two groups: the text that is
// shown, then the secret. Compiling them takes 0.4 ms, so they are compiled only
// in a call that shows a command line.
var masks = sync.OnceValue(func() (m struct{ name, flag, assign, json, text, colon, header, option, url, user, pass *regexp.Regexp }) {
	m.name = regexp.MustCompile(`(?i)` + secretNames + `$`)
	m.flag = regexp.MustCompile(`(?i)^--?[a-z0-9._-]*` + secretNames + `$`)
	m.assign = regexp.MustCompile(`(?is)^(-{0,2}[a-z0-9._-]*` + secretNames + `=)(.+)$`)
	m.json = regexp.MustCompile(`(?i)("[a-z0-9._-]*` + secretNames + `"\s*:\s*")((?:[^"\\]|\\.)*)`)
	m.text = regexp.MustCompile(`(?i)((?:\b|_|-)[a-z0-9._-]*` + secretNames + `=)` + secretText)
	m.colon = regexp.MustCompile(`(?i)((?:^|[\s"'])[a-z0-9._-]*` + secretNames + `:[ \t]*)` + secretText)
	m.header = regexp.MustCompile(`(?i)(\b(?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:(?:bearer|basic|token|digest|negotiate|apikey)\s+)?|\b(?:set-)?cookie:\s*)([^"'\r\n]+)`)
	m.option = regexp.MustCompile(`(?i)((?:^|\s)--[a-z0-9._-]*` + secretNames + `\s+)` + secretText)
	m.url = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://)([^\s"'<>]+)`)
	m.user = regexp.MustCompile(`(\scurl(?:\s.*?)?\s(?:-u|--user|--proxy-user)[ =]?["']?[^\s:"']*:)` + secretText)
	m.pass = regexp.MustCompile(`(?s)^(pass:)(.+)$`) // the form that openssl uses
	return m
})

// options are the options of a program that take a secret although secretNames
// does not match them.
type options struct {
	joined []string // the secret follows in the same argument
	apart  []string // the secret is the next argument
	user   []string // the value is NAME:SECRET, in the same argument or the next
}

func secretOptions(program string) (o options, known bool) {
	switch program {
	case "curl":
		return options{user: []string{"-u", "--user", "-U", "--proxy-user"}}, true
	case "sshpass":
		return options{joined: []string{"-p"}, apart: []string{"-p"}}, true
	case "redis-cli":
		return options{apart: []string{"-a"}}, true
	case "mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb", "mariadb-dump":
		return options{joined: []string{"-p"}}, true
	}
	return o, false
}

// Mask returns a command line for showing, with Masked in place of texts that may
// be secrets. It recognizes a secret by the name of its flag or variable, or by
// the form of a URL or header. It only helps with secrets that were not redacted:
// a secret without such a name or form is shown.
func Mask(argv []string) []string {
	out := make([]string, len(argv))
	var opts options // of the last program named so far that has any
	for i, arg := range argv {
		before := ""
		if i > 0 {
			before = argv[i-1]
		}
		out[i] = maskArg(opts, before, arg)
		if o, known := secretOptions(arg[strings.LastIndexByte(arg, '/')+1:]); known {
			opts = o
		}
	}
	return out
}

func maskArg(opts options, before, arg string) string {
	m := masks()
	if arg == "" {
		return arg
	}
	if namesSecret(m.flag, before) && !strings.HasPrefix(arg, "--") {
		return masked(arg)
	}
	for _, o := range opts.apart {
		if before == o {
			return masked(arg)
		}
	}
	for _, o := range opts.joined {
		if strings.HasPrefix(arg, o) && len(arg) > len(o) && !strings.HasPrefix(arg, "--") {
			return o + masked(arg[len(o):])
		}
	}
	for _, o := range opts.user {
		rest, joined := strings.CutPrefix(arg, o)
		if joined && rest != "" {
			rest = strings.TrimPrefix(rest, "=")
		} else if before == o {
			rest, joined = arg, true
		}
		if user, password, has := strings.Cut(rest, ":"); joined && has {
			return strings.TrimSuffix(arg, rest) + user + ":" + masked(password)
		}
	}
	// An argument that is an assignment is all value after the "=". A script that
	// begins with an assignment has more text after the value.
	if !IsScriptOption(before) {
		if g := m.assign.FindStringSubmatch(arg); g != nil && namesSecret(m.flag, "--"+strings.TrimLeft(strings.TrimSuffix(g[1], "="), "-")) {
			return g[1] + masked(g[2])
		}
	}
	return maskMatches(m.pass, maskText(arg))
}

// IsScriptOption reports whether the argument after s is the text of a script, as
// after -c or -ec of a shell.
func IsScriptOption(s string) bool {
	return len(s) > 1 && s[0] == '-' && s[1] != '-' && s[len(s)-1] == 'c'
}

// namesSecret reports whether re matches s, the name of a flag or variable, and s
// has a value. A flag such as --no-password has none.
func namesSecret(re *regexp.Regexp, s string) bool {
	return s != "" && re.MatchString(s) && !strings.HasPrefix(strings.TrimLeft(s, "-"), "no-")
}

// MaskValue returns the value of a name for showing, with Masked in place of
// texts that may be secrets.
func MaskValue(name, value string) string {
	name = strings.Trim(name, "{}") // a field of an item has its placeholder as its name
	if value != "" && namesSecret(masks().name, name) {
		return masked(value)
	}
	return maskText(value)
}

// maskText masks texts within s that may be secrets.
func maskText(s string) string {
	m := masks()
	if strings.Contains(s, "://") {
		s = m.url.ReplaceAllStringFunc(s, func(u string) string {
			g := m.url.FindStringSubmatch(u)
			return g[1] + maskURL(g[2])
		})
	}
	for _, re := range []*regexp.Regexp{m.header, m.json, m.text, m.colon} {
		s = maskMatches(re, s)
	}
	s = m.option.ReplaceAllStringFunc(s, func(o string) string {
		g := m.option.FindStringSubmatch(o)
		if strings.HasPrefix(g[2], "-") || !namesSecret(m.flag, strings.TrimSpace(g[1])) {
			return o
		}
		return g[1] + masked(g[2])
	})
	if strings.Contains(s, "curl") {
		s = maskMatches(m.user, " "+s)[1:]
	}
	return s
}

// maskMatches masks the second group of each match in s.
func maskMatches(re *regexp.Regexp, s string) string {
	var b strings.Builder
	end := 0
	for _, at := range re.FindAllStringSubmatchIndex(s, -1) {
		b.WriteString(s[end:at[4]] + masked(s[at[4]:at[5]]))
		end = at[5]
	}
	return b.String() + s[end:]
}

// userTokenLen is the length from which the user name of a URL without a password
// is considered a token.
const userTokenLen = 20

// maskURL masks the password of a URL, or a user name that is as long as a token.
// rest is the text after "://".
func maskURL(rest string) string {
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 {
		// A password may contain a slash that should have been encoded. A port is
		// a number, so any other text after the colon begins a password.
		_, port, has := strings.Cut(rest[:end], ":")
		if !has || strings.Trim(port, "0123456789") == "" {
			return rest
		}
		if at = strings.LastIndexByte(rest, '@'); at < 0 {
			return rest
		}
	}
	user, password, has := strings.Cut(rest[:at], ":")
	switch {
	case has && password != "":
		return user + ":" + masked(password) + rest[at:]
	case len(user) >= userTokenLen:
		return Masked + rest[at:]
	}
	return rest
}

// Mask returns the inputs for showing, masked and without details.
func (in Inputs) Mask() Inputs {
	in = in.Counted()
	out := make(Inputs, len(in))
	argv := Mask(in.Argv())
	for i, p := range in {
		switch {
		case p.Kind == KindArg && !p.withheld():
			p.Value, argv = []byte(argv[0]), argv[1:]
		case p.Kind == KindValue:
			p.Value = p.shown()
		}
		out[i] = p
	}
	return out
}
