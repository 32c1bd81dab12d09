package runner

import (
	"idem/ledger"
	"idem/proc"
	"idem/redact"
)

// recorder returns a function that takes the command's output to the ledger, and one
// that is called at its end. Bytes that may be the beginning of what must not be
// stored are held back until it is known, at the latest until the end. end reports
// whether something was taken out. With Output.Quiet, h gets the output too.
func (c *call) recorder(e ledger.Execution, h *held) (record func(proc.Stream, []byte), end func() bool) {
	write := func(s proc.Stream, p []byte) {
		if c.Output.Quiet {
			h.add(ledger.Stream(s), p)
		}
		e.Write(ledger.Stream(s), p)
	}
	if c.Redact == nil || c.Output.recorded() == 0 && !c.Output.Quiet {
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
