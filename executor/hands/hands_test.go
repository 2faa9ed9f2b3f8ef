package hands_test

import (
	"bytes"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/tandem-mesos/tandem/executor/hands"
)

// self names the goroutine that calls it.
func self() string {
	buf := make([]byte, 64)
	name, _, _ := bytes.Cut(buf[:runtime.Stack(buf, false)], []byte("["))
	return string(name)
}

func TestOneAfterTheOtherIsDoneByTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hands.New(1)
		defer h.Close()
		var names [3]string
		for i := range names {
			h.Go(func() { names[i] = self() })
			synctest.Wait()
		}
		if names[0] == "" || names[1] != names[0] || names[2] != names[0] {
			t.Errorf("they were done by %q", names)
		}
	})
}

// together has n things done at once, and returns by whom.
func together(h *hands.Hands, n int) map[string]bool {
	names := make([]string, n)
	end := make(chan struct{})
	for i := range names {
		h.Go(func() {
			names[i] = self()
			<-end
		})
	}
	synctest.Wait()
	close(end)
	synctest.Wait()
	all := make(map[string]bool)
	for _, name := range names {
		all[name] = true
	}
	return all
}

func TestNothingWaitsForWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hands.New(2)
		defer h.Close()
		const n = 10
		if got := together(h, n); len(got) != n || got[""] {
			t.Errorf("%d things were begun by %v", n, got)
		}
	})
}

// All but a few end, and with Close those as well: a goroutine that does not end fails
// the test of its bubble.
func TestFewWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keep, n = 3, 20
		h := hands.New(keep)
		first, stayed := together(h, n), 0
		for name := range together(h, n) {
			if first[name] {
				stayed++
			}
		}
		if stayed != keep {
			t.Errorf("%d have waited, want %d", stayed, keep)
		}
		h.Close()
		ran := false
		h.Go(func() { ran = true })
		synctest.Wait()
		if !ran {
			t.Error("what came after Close was not done")
		}
	})
}
