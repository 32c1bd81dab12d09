package batch

// tag returns the tag of an item's output.
func (s *scheduler) tag(e Entry) string {
	if s.Tag == nil {
		return ""
	}
	return s.Tag(e)
}

// endOutput ends the output of an item that the batch is done with.
func (s *scheduler) endOutput(n *Notice) {
	if n.place == nil {
		return
	}
	switch n.Fate {
	case Done:
		n.place.End(false)
	case Failed, Unrecorded:
		n.place.End(true)
	case DoneBefore, DoneElsewhere, FailedBefore, Duplicate:
		if s.ReplayAll {
			n.place.Replay()
			return
		}
		n.place.Drop()
	default:
		n.place.Drop()
	}
}

// Standing returns how far the batch has come. It may be called at any time.
func (b *Batch) Standing() Standing {
	s := b.live.Load()
	if s == nil {
		return Standing{Size: b.Size}
	}
	read, bytes := int(s.read.Load()), s.offset.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	skipped, c := int(s.skipped.Load()), &s.result.Counts
	return Standing{
		Settled: skipped + c.total() - c[NotReached], Before: skipped + c[DoneBefore] + c[DoneElsewhere],
		Failed: c[Failed] + c[FailedBefore], Running: s.used, Ran: s.result.Ran,
		Read: read, ReadBytes: bytes, Size: b.Size, AllRead: s.ended,
	}
}
