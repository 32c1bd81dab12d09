package runner

import (
	"idem/ledger"
	"idem/proc"
	"idem/redact"
)

// recorder returns two functions. record writes the command's output to the ledger,
// redacted. It holds back bytes that may be the beginning of a secret. Call end when
// the command has ended. end writes the bytes held back and reports whether anything
// was redacted. With Output.Quiet, h gets the redacted output too.
func (c *call) recorder(e ledger.Execution, h *heldOutput) (record func(proc.Stream, []byte), end func() bool) {
	write := func(s proc.Stream, p []byte) {
		if c.Output.Quiet {
			h.add(ledger.Stream(s), p)
		}
		e.Write(ledger.Stream(s), p)
	}
	if c.Redact == nil || c.Output.recordLimit() == 0 && !c.Output.Quiet {
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
