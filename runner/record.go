package runner

import (
	"idem/ledger"
	"idem/proc"
	"idem/redact"
)

// recorder returns two functions. record writes the command's output to the ledger,
// redacted. It holds back bytes that may be the beginning of a secret. Call end when
// the command has ended. end writes the bytes held back and reports whether anything
// was redacted. Sink gets the redacted output too, and h with Output.Quiet.
func (t *Task) recorder(e ledger.Execution, h *heldOutput) (record func(proc.Stream, []byte), end func() bool) {
	write := func(s proc.Stream, p []byte) {
		if t.Output.Quiet {
			h.add(ledger.Stream(s), p)
		}
		if t.Sink != nil {
			t.Sink(s, p)
		}
		e.Write(ledger.Stream(s), p)
	}
	if t.Redact == nil || t.Output.recordLimit() == 0 && !t.Output.Quiet && t.Sink == nil {
		return write, func() bool { return false }
	}
	streams := map[proc.Stream]*redact.Stream{}
	for _, s := range []proc.Stream{proc.Stdout, proc.Stderr} {
		streams[s] = t.Redact.Stream(func(p []byte) { write(s, p) })
	}
	return func(s proc.Stream, p []byte) { streams[s].Write(p) },
		func() bool {
			streams[proc.Stdout].Flush()
			streams[proc.Stderr].Flush()
			return streams[proc.Stdout].Took() || streams[proc.Stderr].Took()
		}
}
