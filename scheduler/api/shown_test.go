package api_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/loop"
)

// TestCallersSeeWhatTheyMay: lists and watches leave out what belongs to others.
func TestCallersSeeWhatTheyMay(t *testing.T) {
	opt, _, _ := guarded(t, &commander{}, teams())
	base, _ := serve(t, opt)
	for who, want := range map[string][]string{"reader": {"/team/words"}, "outsider": {"/other"}} {
		c := as(base, "planted-"+who)["gRPC"]
		list, err := c.ListJobs(t.Context(), &tandemv1.ListJobsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var listed, watched []string
		for _, j := range list.Jobs {
			listed = append(listed, j.Spec.Id)
		}
		watch, err := c.Watch(t.Context(), &tandemv1.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for watch.Receive() {
			if j := watch.Msg().GetJob(); j != nil {
				watched = append(watched, j.Spec.Id)
			}
		}
		if cmp.Diff(want, listed) != "" || cmp.Diff(want, watched) != "" {
			t.Errorf("%s lists %v and watches %v, want %v", who, listed, watched, want)
		}
	}
}

// changes is a reader whose watches tell what it says.
type changes struct {
	*reader
	all []*tandemv1.WatchResponse
}

func (c changes) Watch(context.Context, *tandemv1.WatchRequest) iter.Seq2[*tandemv1.WatchResponse, error] {
	return func(yield func(*tandemv1.WatchResponse, error) bool) {
		for _, r := range c.all {
			if !yield(r, nil) {
				return
			}
		}
		yield(nil, loop.ErrEnded)
	}
}

// TestNoChangeOfAnothersJobIsTold, of whichever kind it is.
func TestNoChangeOfAnothersJobIsTold(t *testing.T) {
	opt, _, _ := guarded(t, &commander{}, teams())
	r := changes{reader: teams()}
	for _, id := range []string{"/other", "/team/words"} {
		r.all = append(r.all,
			&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Job{Job: &tandemv1.JobRecord{Spec: &tandemv1.Job{Id: id}}}},
			&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Instance{Instance: &tandemv1.InstanceRecord{JobId: id}}},
			&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Attempt{Attempt: &tandemv1.AttemptRecord{JobId: id}}},
			&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_JobRemoved{JobRemoved: id}},
			&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_InstanceRemoved{InstanceRemoved: &tandemv1.InstanceRemoved{JobId: id}}},
			&tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_InstanceCounts{InstanceCounts: &tandemv1.InstanceCounts{JobId: id}}},
		)
	}
	ofNone := []*tandemv1.WatchResponse{
		{Change: &tandemv1.WatchResponse_Framework{Framework: &tandemv1.FrameworkView{}}},
		{Change: &tandemv1.WatchResponse_SnapshotEnd{SnapshotEnd: true}},
	}
	kinds := (&tandemv1.WatchResponse{}).ProtoReflect().Descriptor().Oneofs().ByName("change").Fields().Len()
	if got := len(r.all)/2 + len(ofNone); got != kinds {
		t.Fatalf("there are %d kinds of changes, and %d here", kinds, got)
	}
	want := append(r.all[len(r.all)/2:], ofNone...)
	r.all = append(r.all, ofNone...)
	opt.Reader = r
	base, _ := serve(t, opt)
	for protocol, c := range as(base, "planted-reader") {
		watch, err := c.Watch(t.Context(), &tandemv1.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var got []*tandemv1.WatchResponse
		for watch.Receive() {
			got = append(got, proto.CloneOf(watch.Msg()))
		}
		if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
			t.Errorf("%s (-want +got):\n%s", protocol, d)
		}
	}
}

// TestAWatchEndsWithItsRight: who loses a right does not go on to see.
func TestAWatchEndsWithItsRight(t *testing.T) {
	r := teams()
	r.watchErr = nil
	opt, rules, _ := guarded(t, &commander{}, r)
	base, _ := serve(t, opt)
	watch, err := as(base, "planted-reader")["gRPC"].Watch(t.Context(), &tandemv1.WatchRequest{JobId: "/team/words"})
	if err != nil {
		t.Fatal(err)
	}
	for watch.Receive() {
		if !watch.Msg().GetSnapshotEnd() {
			continue
		}
		if err := errors.Join(os.WriteFile(rules, []byte("rules: []"), 0o600), opt.Gate.LoadRules()); err != nil {
			t.Fatal(err)
		}
	}
	if connect.CodeOf(watch.Err()) != connect.CodePermissionDenied {
		t.Errorf("the watch ended with %v", watch.Err())
	}
}
