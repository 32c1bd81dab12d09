package proc

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestRing compares the ring with a plain queue. The ring also grows while a slice of
// it is in use.
func TestRing(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := ring{buf: make([]byte, 64)}
		var want []byte
		next := byte(0)
		for range 2000 {
			if rnd.IntN(2) == 0 {
				free := b.free()
				n := 0
				if len(free) > 0 {
					n = 1 + rnd.IntN(len(free))
				}
				held := b.used() // the draining side drops while the other side fills
				held = held[:rnd.IntN(len(held)+1)]
				for i := range n {
					free[i] = next
					want = append(want, next)
					next++
				}
				if !bytes.Equal(held, want[:len(held)]) {
					t.Fatal("filling changed bytes that were still used")
				}
				b.drop(len(held))
				want = want[len(held):]
				b.add(n)
			}
			if rnd.IntN(300) == 0 {
				held := b.used()
				b.grow(len(b.buf) * 2)
				b.drop(len(held))
				want = want[len(held):]
			}
			if u := b.used(); !bytes.Equal(u, want[:len(u)]) || (len(u) == 0) != (len(want) == 0) {
				t.Fatalf("seed %d: used %v, want %v", seed, u, want)
			}
		}
	}
}
