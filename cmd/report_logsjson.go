package cmd

import (
	"bytes"
	"iter"

	"idem/ledger"
)

// chunkView is a piece of recorded output in the JSON of idem logs. The texts of a stream
// together are its bytes.
type chunkView struct {
	Schema  int       `json:"schema"`
	Stream  *string   `json:"stream"`         // stdout or stderr; null if it is not known from which one bytes were dropped
	Offset  float64   `json:"offset_seconds"` // since the start of the attempt
	Text    jsonBytes `json:"text"`
	Dropped int64     `json:"dropped_bytes"` // not recorded; the text is then empty
}

func viewChunk(c ledger.Chunk) chunkView {
	v := chunkView{Schema: metaSchema, Offset: c.At.Seconds(), Text: jsonBytes(c.Bytes), Dropped: c.Dropped}
	switch c.Stream {
	case ledger.Stdout:
		v.Stream = ptr("stdout")
	case ledger.Stderr:
		v.Stream = ptr("stderr")
	}
	return v
}

// viewChunks yields the views of chunks, until an error. A character that is split between two
// chunks of a stream is in the second one.
func viewChunks(chunks iter.Seq2[ledger.Chunk, error]) iter.Seq2[chunkView, error] {
	return func(yield func(chunkView, error) bool) {
		begun := map[ledger.Stream]ledger.Chunk{} // the first bytes of a character
		ends := func(s ledger.Stream) bool {
			c, is := begun[s]
			delete(begun, s)
			return !is || yield(viewChunk(c), nil)
		}
		for c, err := range chunks {
			switch {
			case err != nil:
				yield(chunkView{}, err)
				return
			case c.Dropped > 0:
				for _, s := range endedBy(c) {
					if !ends(s) {
						return
					}
				}
			default:
				c.Bytes = append(begun[c.Stream].Bytes, c.Bytes...)
				delete(begun, c.Stream)
				whole := len(c.Bytes) - incomplete(c.Bytes)
				if whole < len(c.Bytes) {
					begun[c.Stream] = ledger.Chunk{Stream: c.Stream, At: c.At, Bytes: bytes.Clone(c.Bytes[whole:])}
				}
				if c.Bytes = c.Bytes[:whole]; whole == 0 {
					continue
				}
			}
			if !yield(viewChunk(c), nil) {
				return
			}
		}
		_ = ends(ledger.Stdout) && ends(ledger.Stderr)
	}
}
