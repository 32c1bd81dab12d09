package combine

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// served is a combiner that records its groups and waits before each one.
func served(before func()) (c *Combiner[int], groups *[][]int) {
	groups = new([][]int)
	return New(func(take func() []int) {
		before()
		*groups = append(*groups, take())
	}), groups
}

// TestRequestsThatWaitAreServedTogether checks the order and the size of groups.
func TestRequestsThatWaitAreServedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		c, groups := served(func() { <-hold })
		const n = 2*MaxGroup + 3
		for i := range n {
			go c.Do(i, nil)
			synctest.Wait() // it waits now
		}
		close(hold)
		synctest.Wait()
		var sizes, all []int
		for _, g := range *groups {
			sizes = append(sizes, len(g))
			all = append(all, g...)
		}
		if !slices.Equal(sizes, []int{MaxGroup, MaxGroup, 3}) {
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
		c.Announce(3)
		for i := range 2 {
			go c.Do(i, nil)
			synctest.Wait()
		}
		if len(*groups) > 0 {
			t.Errorf("got groups %v, want none before the third request", *groups)
		}
		c.Withdraw(nil)
		synctest.Wait()
		c.Do(2, nil)
		c.Withdraw(nil) // of the functions that have returned
		c.Withdraw(nil)
		c.Do(3, nil)
		if len(*groups) != 3 || !slices.Equal((*groups)[0], []int{0, 1}) {
			t.Errorf("got groups %v, want [[0 1] [2] [3]]", *groups)
		}
	})
}

// TestAnnouncementsEndOnce checks that a known announcement ends once: neither its later
// requests nor its withdrawal begin the group of another call too early.
func TestAnnouncementsEndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, groups := served(func() {})
		first, second := c.Announce(1), c.Announce(2)
		go c.Do(0, &second[0])
		synctest.Wait()
		go func() {
			c.Do(1, &first[0])
			c.Withdraw(&first[0])
		}()
		go c.Do(2, &first[0])
		synctest.Wait()
		c.Withdraw(&first[0])
		synctest.Wait()
		if len(*groups) > 0 {
			t.Errorf("got groups %v, want none before the second request of the other call", *groups)
		}
		c.Do(3, &second[1])
		synctest.Wait()
		if len(*groups) != 1 || len((*groups)[0]) != 4 {
			t.Errorf("got groups %v, want one of all requests", *groups)
		}
	})
}

// TestAnAnnouncementIsOfOneCombiner checks that a request to another combiner neither ends an
// announcement nor one of that combiner.
func TestAnAnnouncementIsOfOneCombiner(t *testing.T) {
	one, groups := served(func() {})
	other, _ := served(func() {})
	a := one.Announce(1)
	other.Do(1, &a[0])
	other.Announce(1)
	other.Withdraw(&a[0])
	if one.announced != 1 || other.announced != 1 {
		t.Errorf("announced: got %d and %d, want 1 and 1", one.announced, other.announced)
	}
	one.Do(2, &a[0])
	if one.announced != 0 || len(*groups) != 1 {
		t.Errorf("announced: got %d, want 0; groups: %v", one.announced, *groups)
	}
}

// TestManyAnnouncementsDoNotDelayAFullGroup checks that enough requests are served although
// more are announced.
func TestManyAnnouncementsDoNotDelayAFullGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, groups := served(func() {})
		c.Announce(MaxGroup + 1)
		var all sync.WaitGroup
		for i := range MaxGroup {
			all.Go(func() { c.Do(i, nil) })
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
			c := New(func(take func() []int) {
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
				c.Do(0, nil)
			}()
			synctest.Wait()
			for i := range 3 {
				go c.Do(i, nil)
			}
			synctest.Wait()
			close(hold)
			synctest.Wait() // deadlocks if a request is forgotten
			if caught != "first" || c.leading || len(c.waiting) > 0 {
				t.Errorf("got panic %v, leading %v, %d waiting", caught, c.leading, len(c.waiting))
			}
			c.Do(4, nil)
		})
	}
}
