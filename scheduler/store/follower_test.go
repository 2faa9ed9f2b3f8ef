package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/tandem-mesos/tandem/scheduler/store"
)

// follow runs a follower until the test ends.
func (e *ensemble) follow() *store.Follower {
	e.t.Helper()
	f, err := store.NewFollower(e.server.Connect(e.t), e.path)
	if err != nil {
		e.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx)
	}()
	e.t.Cleanup(func() {
		cancel()
		<-done
	})
	return f
}

// catchesUp waits until the follower's copy is what the store would load.
func catchesUp(t *testing.T, f *store.Follower, leader *store.ZooKeeper) {
	t.Helper()
	want, err := leader.Load()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		got, err := f.Copy()
		// It may have all that is there and not have read each write of it yet.
		if err == nil && cmp.Equal(got.Snapshot, want, protocmp.Transform()) && f.Same(got) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the copy is %v, %v\nwant %v", got.Snapshot, err, want)
		}
	}
}

func TestFollowerHasWhatTheLeaderSaves(t *testing.T) {
	e := newEnsemble(t, shared.Server(t))
	f := e.follow()
	_, err := f.Copy()
	wantError(t, err, "the state")

	z := e.lead().open()
	catchesUp(t, f, z)
	write(t, z, attempts(0, 3)...)
	catchesUp(t, f, z)
	before, err := f.Copy()
	if err != nil {
		t.Fatal(err)
	}
	write(t, z, attempts(1, 2)[0].Removal())
	write(t, z, attempts(3, 5)...)
	catchesUp(t, f, z)
	if f.Same(before) {
		t.Error("a copy is taken for the same after the state has changed")
	}
	if len(before.Attempts) != 3 {
		t.Errorf("a copy that was given out has changed: %v", before.Attempts)
	}

	t.Run("after another has taken over", func(t *testing.T) {
		young := e.lead().open()
		write(t, young, attempts(5, 7)...)
		catchesUp(t, f, young)
		z = young
	})
	t.Run("after the oldest nodes were taken away", func(t *testing.T) {
		// Each write is an entry of its own: soon the log is too long.
		for range 3 {
			for range 300 {
				write(t, z, attempts(0, 2)...)
			}
			catchesUp(t, f, z)
		}
	})
	t.Run("after the state was begun anew", func(t *testing.T) {
		l := e.lead()
		nodes, _, err := e.conn.Children(e.path + "/state")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if err := e.conn.Delete(e.path+"/state/"+n, -1); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.conn.Delete(e.path+"/state", -1); err != nil {
			t.Fatal(err)
		}
		anew := l.open()
		write(t, anew, attempts(20, 21)...)
		catchesUp(t, f, anew)
	})
}

// TestFollowerThatCannotRead says why, and keeps what it has.
func TestFollowerThatCannotRead(t *testing.T) {
	e := newEnsemble(t, shared.Server(t))
	if _, err := e.conn.Create(e.path+"/state", []byte(`{"format":7,"epoch":1,"leader":"x","first":1,"last":0}`), 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	f := e.follow()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		_, err := f.Copy()
		if err == nil {
			t.Fatal("a state of an unknown format was copied")
		}
		if strings.Contains(err.Error(), "it has format 7, and this scheduler reads format 1") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
