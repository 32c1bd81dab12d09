package batch

// spawn calls f in a goroutine that has called another function before, if one is free. Its
// stack is large enough then. A new one grows several times until SQLite has enough.
func (s *scheduler) spawn(f func()) {
	select {
	case s.jobs <- f:
	default:
		go func() {
			for {
				f()
				select {
				case f = <-s.jobs:
				case <-s.over:
					return
				}
			}
		}()
	}
}
