package runner

import (
	"idem/ledger"
	"idem/proc"
	"idem/redact"
)

// recorder returns what takes the command's output to the ledger, and what says
// that no more will come. Of what it holds back, because it may be the
// beginning of what must not be stored, nothing is stored before that. end then
// reports whether something was taken out. With QuietOK it goes to h as well.
func (c *Call) recorder(e ledger.Execution, h *held) (record func(proc.Stream, []byte), end func() bool) {
	write := func(s proc.Stream, p []byte) {
		if c.QuietOK {
			h.add(ledger.Stream(s), p)
		}
		e.Write(ledger.Stream(s), p)
	}
	if c.Redact == nil || c.keeps() == 0 && !c.QuietOK {
		return write, func() bool { return false }
	}
	streams := map[proc.Stream]*redact.Stream{}
	for _, s := range []proc.Stream{proc.Stdout, proc.Stderr} {
		streams[s] = c.Redact.Stream(func(p []byte) { write(s, p) })
	}
	return func(s proc.Stream, p []byte) { streams[s].Write(p) },
		func() bool {
			streams[proc.Stdout].Flush()
			streams[proc.Stderr].Flush()
			return streams[proc.Stdout].Took() || streams[proc.Stderr].Took()
		}
}
