package batch

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"idem/ledger"
)

// block is a part of the output of an item. It is held in memory, or it is a gap.
type block struct {
	next  *block
	buf   []byte // frames: the stream, the length of the bytes in 4 bytes, the bytes
	frame int    // the offset of the last frame in buf
	gap   *gap   // if it is not nil, buf is empty
}

// gap is a part of an attempt's output that is not held, so it is read from the ledger.
type gap struct {
	run   string
	from  [2]int64 // by stream: the number of bytes of the attempt before the gap
	bytes [2]int64 // by stream: the number of bytes of the gap
}

// index is the index of a stream in an array by stream.
func index(s ledger.Stream) int { return int(s - ledger.Stdout) }

const (
	frameHead   = 5
	smallBlock  = 512
	bigBlock    = 64 << 10
	blockSizes  = 8 // smallBlock, and twice as large each
	blockItself = 64
)

// pools keep blocks by their size.
var pools [blockSizes]sync.Pool

// sizeOf returns the index of the size of a block for n more bytes after a block of
// capacity before. Many items have little output, and few have much.
func sizeOf(n, before int) int {
	want := max(smallBlock, min(max(n+frameHead, 2*before), bigBlock))
	return bits.Len(uint(want-1) / smallBlock)
}

func newBlock(size int) *block {
	if b, ok := pools[size].Get().(*block); ok {
		return b
	}
	return &block{buf: make([]byte, 0, smallBlock<<size)}
}

// memory is the number of bytes that b needs.
func (b *block) memory() int {
	if b.gap != nil {
		return 0
	}
	return blockItself + cap(b.buf)
}

func (b *block) free() {
	if b.gap != nil {
		return
	}
	b.next, b.buf, b.frame = nil, b.buf[:0], 0
	pools[bits.Len(uint(cap(b.buf)-1)/smallBlock)].Put(b)
}

// add adds the beginning of p and returns the rest.
func (b *block) add(s ledger.Stream, p []byte) []byte {
	same := len(b.buf) > 0 && b.buf[b.frame] == byte(s)
	free := cap(b.buf) - len(b.buf)
	if !same {
		free -= frameHead
	}
	n := min(free, len(p))
	if n <= 0 {
		return p
	}
	if !same {
		b.frame = len(b.buf)
		b.buf = append(b.buf, byte(s), 0, 0, 0, 0)
	}
	b.buf = append(b.buf, p[:n]...)
	binary.LittleEndian.PutUint32(b.buf[b.frame+1:], uint32(len(b.buf)-b.frame-frameHead))
	return p[n:]
}

// pieces calls each for the pieces of b in order.
func (b *block) pieces(each func(ledger.Stream, []byte)) {
	for rest := b.buf; len(rest) > 0; {
		n := frameHead + int(binary.LittleEndian.Uint32(rest[1:]))
		each(ledger.Stream(rest[0]), rest[frameHead:n])
		rest = rest[n:]
	}
}
