package sqlite

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// served is a combiner that records its groups and waits before each one.
func served(before func()) (c *combiner[int], groups *[][]int) {
	groups = new([][]int)
	return newCombiner(func(take func() []int) {
		before()
		*groups = append(*groups, take())
	}), groups
}

// TestRequestsThatWaitAreServedTogether checks the order and the size of groups.
func TestRequestsThatWaitAreServedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		c, groups := served(func() { <-hold })
		const n = 2*maxGroup + 3
		for i := range n {
			go c.do(i)
			synctest.Wait() // it waits now
		}
		close(hold)
		synctest.Wait()
		var sizes, all []int
		for _, g := range *groups {
			sizes = append(sizes, len(g))
			all = append(all, g...)
		}
		if !slices.Equal(sizes, []int{maxGroup, maxGroup, 3}) {
			t.Errorf("got groups of %v", sizes)
		}
		if len(all) != n || !slices.IsSorted(all) {
			t.Errorf("got the order %v", all)
		}
		if c.leading || len(c.waiting) > 0 {
			t.Errorf("%d requests wait at the end, leading %v", len(c.waiting), c.leading)
		}
	})
}

// TestAnnouncedRequestsAreAwaited checks that a group begins when all announced requests are
// made or withdrawn, and at once without announcements.
func TestAnnouncedRequestsAreAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, groups := served(func() {})
		c.announce(3)
		for i := range 2 {
			go c.do(i)
			synctest.Wait()
		}
		if len(*groups) > 0 {
			t.Errorf("got groups %v, want none before the third request", *groups)
		}
		c.withdraw()
		synctest.Wait()
		c.do(2)
		c.withdraw() // of the functions that have returned
		c.withdraw()
		c.do(3)
		if len(*groups) != 3 || !slices.Equal((*groups)[0], []int{0, 1}) {
			t.Errorf("got groups %v, want [[0 1] [2] [3]]", *groups)
		}
	})
}

// TestManyAnnouncementsDoNotDelayAFullGroup checks that enough requests are served although
// more are announced.
func TestManyAnnouncementsDoNotDelayAFullGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, groups := served(func() {})
		c.announce(maxGroup + 1)
		var all sync.WaitGroup
		for i := range maxGroup {
			all.Go(func() { c.do(i) })
		}
		all.Wait()
		if len(*groups) == 0 {
			t.Error("no group was served")
		}
	})
}

// TestAPanicIsPassedOn checks that a panic reaches the caller that serves, and that the other
// requests are served nevertheless.
func TestAPanicIsPassedOn(t *testing.T) {
	for _, taken := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			hold := make(chan struct{})
			rounds := 0
			c := newCombiner(func(take func() []int) {
				if rounds++; rounds > 1 {
					take()
					return
				}
				<-hold
				if taken {
					take()
				}
				panic("first")
			})
			var caught any
			go func() {
				defer func() { caught = recover() }()
				c.do(0)
			}()
			synctest.Wait()
			for i := range 3 {
				go c.do(i)
			}
			synctest.Wait()
			close(hold)
			synctest.Wait() // deadlocks if a request is forgotten
			if caught != "first" || c.leading || len(c.waiting) > 0 {
				t.Errorf("got panic %v, leading %v, %d waiting", caught, c.leading, len(c.waiting))
			}
			c.do(4)
		})
	}
}
