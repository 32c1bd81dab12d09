package batch

import "idem/ledger"

type block struct{}

func (p *Printer) append(it *Item)                           {}
func (p *Printer) write(it *Item, s ledger.Stream, b []byte) {}
func (p *Printer) end(it *Item, print bool)                  {}
