package loop_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

func TestResumingAWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, save := saves(t, state.Snapshot{Jobs: []*tandemv1.JobRecord{job("/a", 1)}})
		// What is told until the present, or the error.
		told := func(ask *tandemv1.WatchRequest) string {
			var b strings.Builder
			for r, err := range l.View().Watch(t.Context(), ask) {
				switch {
				case errors.Is(err, loop.ErrNotKept):
					return "not kept"
				case err != nil:
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "%d %s; ", r.Sequence, words(r))
				if r.GetSnapshotEnd() {
					break
				}
				if r.Time == nil {
					t.Errorf("%d has no time", r.Sequence)
				}
			}
			return b.String()
		}
		since := func(n uint64) string { return told(&tandemv1.WatchRequest{Since: proto.Uint64(n)}) }
		save(state.PutJob(job("/a", 2)), state.PutInstance(instance("/b", 0, runs)))
		save(state.PutAttempt(attempt("/b", 0, 1)))
		equal(t, "from a change on", since(3), "4 /a v2; 5 /b#0,1; 5 end; ")
		equal(t, "from the latest change on", since(5), "5 end; ")
		equal(t, "from the oldest on", since(0), "2 framework subscribed=true; 3 /b#0/4; 4 /a v2; 5 /b#0,1; 5 end; ")
		equal(t, "from before the oldest on", since(1), "2 framework subscribed=true; 3 /b#0/4; 4 /a v2; 5 /b#0,1; 5 end; ")
		equal(t, "from a change that has not been", since(6), "not kept")
		equal(t, "of one job", told(&tandemv1.WatchRequest{Since: proto.Uint64(2), JobId: "/b"}), "3 /b#0/4; 5 /b#0,1; 5 end; ")
		equal(t, "without attempts", told(&tandemv1.WatchRequest{Since: proto.Uint64(2), WithoutAttempts: true}), "3 /b#0/4; 4 /a v2; 5 end; ")
		latest := func(n int32) string {
			return told(&tandemv1.WatchRequest{Since: proto.Uint64(0), Latest: n, JobId: "/b"})
		}
		equal(t, "the latest", latest(1), "5 /b#0,1; 5 end; ")
		equal(t, "as many as there are", latest(2), "3 /b#0/4; 5 /b#0,1; 5 end; ")
		equal(t, "the latest of few", latest(9), "3 /b#0/4; 5 /b#0,1; 5 end; ")

		for n := range uint64(1 << 13) {
			save(state.PutJob(job("/a", n)))
		}
		newest := uint64(5 + 1<<13)
		equal(t, "the latest after many", since(newest-1), fmt.Sprintf("%d /a v%d; %d end; ", newest, 1<<13-1, newest))
		if got := since(5); strings.Count(got, ";") != 1<<13+1 {
			t.Errorf("of the kept ones %d came", strings.Count(got, ";")-1)
		}
		equal(t, "one too many", since(4), "not kept")
	})
}
