package batch

import (
	"os"
	"sync"
	"testing"

	"idem/ledger"
)

// BenchmarkPrinter prints the outputs of items, eight at a time.
func BenchmarkPrinter(b *testing.B) {
	for _, c := range []struct {
		name   string
		output []byte
		writes int
	}{
		{"no output", nil, 0}, {"a line", []byte("a line of output\n"), 1}, {"100 lines", []byte("a line of output\n"), 100}, {"1 MiB", make([]byte, 64<<10), 16},
	} {
		b.Run(c.name, func(b *testing.B) {
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			must(b, err)
			defer null.Close()
			p := NewPrinter(PrinterOptions{Screen: NewScreen(ScreenOptions{Stdout: null, Stderr: null})})
			items := make(chan *Item, 8)
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for it := range items {
						it.Attempt("run", -1)
						for range c.writes {
							it.Write(ledger.Stdout, c.output)
						}
						it.End(false)
					}
				})
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(c.output) * c.writes))
			for b.Loop() {
				items <- p.Item(ledger.ID{}, "")
			}
			close(items)
			all.Wait()
			p.Close(b.Context())
		})
	}
}
