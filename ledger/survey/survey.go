// Package survey finds the successes of a batch with little memory. It is the part of
// ledger.Surveying that all stored ledgers share.
package survey

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"idem/internal/lenprefix"
	"idem/ledger"
	"idem/ledger/filelock"
)

// DoneOf returns the hash that stands for a success in the table of records. It is not 0. It
// begins with the first bits of the name, so that the index over the children has
// nearly the order of the table. Then a deletion in this order changes few pages of the index.
func DoneOf(name filelock.Name, fingerprint string) int64 {
	h := sha256.Sum256(lenprefix.Append(nil, string(name[:]), fingerprint))
	copy(h[:2], name[:2])
	if n := int64(binary.BigEndian.Uint64(h[:8])); n != 0 {
		return n
	}
	return 1
}

// NumberOf returns the first 63 bits of a name, given its first 8 bytes.
func NumberOf(name []byte) int64 { return int64(binary.BigEndian.Uint64(name) >> 1) }

// Table implements ledger.Successes. It is a hash table with open addressing: a Go map
// would need four times the memory. A slot has the hash of a success, and 0 is a free
// slot. The number of the record says where to look first. A wrong answer requires that two
// keys agree in the 64 bits of the hash, of which 16 are also in the number, and nearly in
// those of the number.
type Table struct {
	slots []int64
	used  int
}

// New returns a table for n successes, or a few more.
func New(n int) *Table { return &Table{slots: make([]int64, n+n/2+16)} }

func (t *Table) slot(number int64) int {
	at, _ := bits.Mul64(uint64(number)<<1, uint64(len(t.slots)))
	return int(at)
}

// find returns the slot that has done, or the free slot where it belongs.
func (t *Table) find(number, done int64) int {
	at := t.slot(number)
	for t.slots[at] != done && t.slots[at] != 0 {
		if at++; at == len(t.slots) {
			at = 0
		}
	}
	return at
}

// Add adds the success of a record with a number (NumberOf) and a hash (DoneOf). It reports
// false when the table is full.
func (t *Table) Add(number, done int64) bool {
	at := t.find(number, done)
	if t.slots[at] == 0 {
		if t.used >= len(t.slots)*3/4 {
			return false
		}
		t.slots[at] = done
		t.used++
	}
	return true
}

// Has implements ledger.Successes.
func (t *Table) Has(id ledger.ID, fingerprint string) bool {
	name := filelock.NameOf(id)
	return t.slots[t.find(NumberOf(name[:8]), DoneOf(name, fingerprint))] != 0
}

// Bytes implements ledger.Successes.
func (t *Table) Bytes() int { return 8 * len(t.slots) }
