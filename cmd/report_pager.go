package cmd

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"idem/proc"
)

// pager shows what a command prints to a person, as the pager of git does.
type pager struct {
	off            bool // by --no-pager
	asked          bool // by page
	running        *proc.Pager
	stdout, stderr *os.File // of idem while the pager has their places
}

func (a *app) pagerFlag(f *pflag.FlagSet) {
	f.BoolVar(&a.pager.off, "no-pager", false, "print to the terminal itself, not to a pager")
}

// page starts the pager before a command first writes to a terminal. It takes the place of stdout,
// and of stderr if that is a terminal, too. The caller has read the properties of the terminal.
// Without a pager, or if it cannot be started, idem writes to the terminal.
func (a *app) page() {
	p := &a.pager
	if p.off || p.asked || !isTerminal(a.ui.stdout) || dumb() || len(outerAttempts()) > 0 { // a command of a run has no reader
		return
	}
	p.asked = true
	command, ok := pagerCommand()
	if !ok || checkSound() != nil {
		return
	}
	env := os.Environ()
	if _, set := os.LookupEnv("LESS"); !set {
		env = append(env, "LESS=FRX")
	}
	if _, set := os.LookupEnv("LV"); !set {
		env = append(env, "LV=-c")
	}
	if _, set := os.LookupEnv("LESSCHARSET"); !set { // idem prints UTF-8 in any locale
		env = append(env, "LESSCHARSET=utf-8")
	}
	running, err := proc.StartPager(command, env, a.ui.stdout)
	if err != nil {
		return
	}
	_ = a.ui.notes() // remembers whether stderr is a terminal
	p.running, p.stdout, p.stderr = running, a.ui.stdout, a.ui.stderr
	a.ui.stdout = running.In
	if isTerminal(p.stderr) {
		a.ui.stderr = running.In
	}
}

// printPage prints a text to a person, through a pager.
func (a *app) printPage(text string) error {
	a.page()
	return a.print(text)
}

// endPager waits until the user has left the pager. It returns the error of the command, but
// none if the user left before the end.
func (a *app) endPager(err error) error {
	p := &a.pager
	if p.running == nil {
		return err
	}
	p.running.End()
	a.ui.stdout, a.ui.stderr = p.stdout, p.stderr
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// pagerCommand returns the command of the pager. An empty name and cat stand for none.
func pagerCommand() (proc.Command, bool) {
	text, set := os.LookupEnv("IDEM_PAGER")
	if !set {
		text, set = os.LookupEnv("PAGER")
	}
	if !set {
		text = "less"
	}
	words := strings.Fields(text)
	if len(words) == 0 || text == "cat" {
		return proc.Command{}, false
	}
	if strings.ContainsAny(text, "|&;<>()$`\\\"'*?[#~=%") {
		return proc.Shell(text), true
	}
	path, err := proc.LookPath(words[0])
	return proc.Command{Path: path, Args: words}, err == nil
}
