package store_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/tandem-mesos/tandem/pkg/zookeeper"
	"github.com/tandem-mesos/tandem/pkg/zookeeper/zktest"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
	"github.com/tandem-mesos/tandem/scheduler/store"
)

// shared is one ZooKeeper for all tests that do not harm it.
var shared zktest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	shared.Stop()
	os.Exit(code)
}

// ensemble is a path of its own in a ZooKeeper.
type ensemble struct {
	t      testing.TB
	server *zktest.Server
	conn   *zk.Conn
	path   string
}

var paths atomic.Int64

func newEnsemble(t testing.TB, s *zktest.Server) *ensemble {
	t.Helper()
	e := &ensemble{t: t, server: s, conn: s.Connect(t), path: fmt.Sprintf("/test%d", paths.Add(1))}
	if _, err := e.conn.Create(e.path, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	return e
}

// leader is a scheduler that leads until its session ends or its fence goes.
type leader struct {
	e    *ensemble
	opt  store.ZooKeeperOptions
	lost chan struct{}
}

// lead makes a leader, whatever others believe.
func (e *ensemble) lead() *leader {
	e.t.Helper()
	fence, err := e.conn.Create(e.path+"/leader-", nil, zk.FlagEphemeral|zk.FlagSequence, zk.WorldACL(zk.PermAll))
	if err != nil {
		e.t.Fatal(err)
	}
	lost := make(chan struct{})
	return &leader{e, store.ZooKeeperOptions{Conn: e.conn, Path: e.path, Fence: fence, Lost: lost}, lost}
}

// end takes the leader's znode away, as the end of its session does.
func (l *leader) end() {
	l.e.t.Helper()
	if err := l.e.conn.Delete(l.opt.Fence, -1); err != nil {
		l.e.t.Fatal(err)
	}
}

func (l *leader) open() *store.ZooKeeper {
	l.e.t.Helper()
	z, err := store.OpenZooKeeper(l.opt)
	if err != nil {
		l.e.t.Fatal(err)
	}
	return z
}

func attempts(from, to int32) (changes []state.Change) {
	for slot := from; slot < to; slot++ {
		changes = append(changes, state.PutAttempt(attempt("/payments/api", slot, 1)))
	}
	return changes
}

func snapshot(from, to int32) (s state.Snapshot) {
	for _, c := range attempts(from, to) {
		s.Add(c.Record)
	}
	return s
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v\nwant one line with %q", err, want)
	}
}

// TestOnlyTheLeaderWrites: from the moment that another has opened the store, or
// that its session is over, nothing of an earlier leader's is taken.
func TestOnlyTheLeaderWrites(t *testing.T) {
	t.Run("after another has taken over", func(t *testing.T) {
		e := newEnsemble(t, shared.Server(t))
		old := e.lead().open()
		write(t, old, attempts(0, 3)...)
		young := e.lead().open()
		err := old.Write(attempts(3, 4))
		wantError(t, err, "cannot write the state at "+e.path+" in ZooKeeper: this scheduler does not lead any more")
		if !errors.Is(err, store.ErrDeposed) {
			t.Error("the error is not ErrDeposed")
		}
		wantSnapshot(t, young, snapshot(0, 3))
		write(t, young, attempts(3, 5)...)
		wantSnapshot(t, e.lead().open(), snapshot(0, 5))
	})
	t.Run("after its session has ended", func(t *testing.T) {
		e := newEnsemble(t, shared.Server(t))
		l := e.lead()
		s := l.open()
		write(t, s, attempts(0, 3)...)
		l.end()
		wantError(t, s.Write(attempts(3, 4)), "this scheduler does not lead any more")
		if _, err := store.OpenZooKeeper(l.opt); !errors.Is(err, store.ErrDeposed) {
			t.Errorf("opening is answered by %v", err)
		}
		wantSnapshot(t, e.lead().open(), snapshot(0, 3))
	})
	t.Run("after it was told so, while ZooKeeper is away", func(t *testing.T) {
		e := newEnsemble(t, shared.Server(t))
		proxy := zktest.NewProxy(t, e.server.Address)
		e.conn = connect(t, proxy.Address)
		l := e.lead()
		s := l.open()
		proxy.Cut()
		failed := make(chan error)
		go func() { failed <- s.Write(attempts(0, 1)) }()
		close(l.lost)
		wantError(t, <-failed, "this scheduler does not lead any more")
	})
}

// TestAnUnfinishedWrite has left nodes beyond the head: they count nothing, and
// are gone when the next leader has opened the store.
func TestAnUnfinishedWrite(t *testing.T) {
	e := newEnsemble(t, shared.Server(t))
	s := e.lead().open()
	write(t, s, attempts(0, 3)...)
	for _, n := range []string{"0000000002", "0000000003", "0000000007"} {
		if _, err := e.conn.Create(e.path+"/state/"+n, []byte("a part"), 0, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
	}
	again := e.lead().open()
	wantSnapshot(t, again, snapshot(0, 3))
	write(t, again, attempts(3, 4)...)
	wantSnapshot(t, again, snapshot(0, 4))
	if names, _, err := e.conn.Children(e.path + "/state"); err != nil || len(names) != 2 {
		t.Errorf("the log has the nodes %v, %v", names, err)
	}
}

// large is a record that does not compress: random is its name's seed.
func large(id string, size int, random uint64) state.Change {
	b := make([]byte, size)
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], random)
	rand.NewChaCha8(seed).Read(b)
	return state.PutJob(&tandemv1.JobRecord{Spec: &tandemv1.Job{Id: id, Labels: map[string]string{"bytes": hex.EncodeToString(b)}}})
}

// TestNodesStaySmall, however large a record or a write is, and what is written
// is read.
func TestNodesStaySmall(t *testing.T) {
	e := newEnsemble(t, shared.Server(t))
	s := e.lead().open()
	// The first takes several nodes, all together several multis.
	changes := []state.Change{large("/a", 900<<10, 1), large("/b", 1<<20, 2), large("/c", 300<<10, 3)}
	changes = append(changes, attempts(0, 5000)...)
	write(t, s, changes...)
	write(t, s, large("/a", 10, 4))
	want := snapshot(0, 5000)
	for _, c := range []state.Change{large("/a", 10, 4), changes[1], changes[2]} {
		want.Add(c.Record)
	}
	wantSnapshot(t, e.lead().open(), want)
	names, _, err := e.conn.Children(e.path + "/state")
	if err != nil || len(names) < 10 {
		t.Fatalf("the log has the nodes %v, %v", names, err)
	}
	for _, name := range names {
		if _, stat, err := e.conn.Exists(e.path + "/state/" + name); err != nil || stat.DataLength > 256<<10 {
			t.Errorf("the node %s has %d bytes, %v", name, stat.DataLength, err)
		}
	}
}

// TestTheLogStaysShort, and nothing that counts goes with its oldest nodes.
func TestTheLogStaysShort(t *testing.T) {
	for name, c := range map[string]struct {
		writes, size, most int
	}{
		"many small writes": {700, 10, 530},
		"large ones":        {60, 200 << 10, 140},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnsemble(t, shared.Server(t))
			s := e.lead().open()
			m := store.NewMemory()
			both := func(changes ...state.Change) {
				t.Helper()
				write(t, s, changes...)
				write(t, m, changes...)
			}
			both(append(attempts(0, 1000), large("/kept", 300<<10, 1), large("/removed", 10, 1))...)
			both(large("/removed", 10, 1).Removal())
			for n := range c.writes {
				both(large(fmt.Sprintf("/changing/%d", n%3), c.size, uint64(n)), attempts(int32(n%100), int32(n%100)+1)[0].Removal())
			}
			want, err := m.Load()
			if err != nil {
				t.Fatal(err)
			}
			wantSnapshot(t, s, want)
			wantSnapshot(t, e.lead().open(), want)
			if names, _, err := e.conn.Children(e.path + "/state"); err != nil || len(names) > c.most {
				t.Errorf("the log has %d nodes, %v; want at most %d", len(names), err, c.most)
			}
		})
	}
}

// TestConnectionsCutInTheMidstOfWrites: a write that is answered is there, once
// and whole, whatever became of the connection meanwhile.
func TestConnectionsCutInTheMidstOfWrites(t *testing.T) {
	t.Parallel()
	e := newEnsemble(t, shared.Server(t))
	proxy := zktest.NewProxy(t, e.server.Address)
	e.conn = connect(t, proxy.Address)
	s := e.lead().open()
	var want state.Snapshot
	// A write of one node, and one of several multis, each cut at its beginning,
	// within, and while its last bytes are under way.
	for i, after := range []int{1, 900 << 10, 1700 << 10, 1} {
		c := large(fmt.Sprintf("/job/%d", i), 800<<10, uint64(i))
		proxy.CutAfter(after)
		write(t, s, c)
		want.Add(c.Record)
	}
	proxy.CutAfter(0)
	wantSnapshot(t, s, want)
	e.conn = e.server.Connect(t)
	wantSnapshot(t, e.lead().open(), want)
}

// TestZooKeeperRestartsInTheMidstOfWrites: the leader's session outlives it, and
// nothing that was answered is lost.
func TestZooKeeperRestartsInTheMidstOfWrites(t *testing.T) {
	t.Parallel()
	e := newEnsemble(t, zktest.Start(t, true))
	s := e.lead().open()
	write(t, s, attempts(0, 10)...)
	e.server.Stop()
	written := make(chan error)
	go func() { written <- s.Write(attempts(10, 20)) }()
	e.server.Restart(t)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	wantSnapshot(t, s, snapshot(0, 20))
	wantSnapshot(t, e.lead().open(), snapshot(0, 20))
}

// TestStateInZooKeeperThatCannotBeRead: the answer is one line, and nothing is
// written over it.
func TestStateInZooKeeperThatCannotBeRead(t *testing.T) {
	set := func(name string, data string) func(*ensemble) error {
		return func(e *ensemble) error {
			_, err := e.conn.Set(e.path+name, []byte(data), -1)
			return err
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(*ensemble) error
		want  string
	}{
		{"a later format", set("/state", `{"format":2,"first":1,"last":2,"shards":[1]}`),
			"it has format 2, and this scheduler reads format 1; use the scheduler that has written it, or a newer one"},
		{"another program's", set("/state", "hello"), `it is damaged: its head is not one: "hello"`},
		{"a spoiled node", set("/state/0000000001", "spoiled"), "the node /PATH/state/0000000001: its checksum is wrong"},
		{"a missing node", func(e *ensemble) error { return e.conn.Delete(e.path+"/state/0000000001", -1) }, "1 of its 2 nodes are missing"},
		{"another program's znode", func(e *ensemble) error {
			_, err := e.conn.Create(e.path+"/state/lock", nil, 0, zk.WorldACL(zk.PermAll))
			return err
		}, "there is a znode /PATH/state/lock, which is not of it"},
		{"nodes that changed places", func(e *ensemble) error {
			data, _, err := e.conn.Get(e.path + "/state/0000000001")
			if err == nil {
				err = set("/state/0000000002", string(data))(e)
			}
			return err
		}, "the node /PATH/state/0000000002: its checksum is wrong"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnsemble(t, shared.Server(t))
			s := e.lead().open()
			write(t, s, attempts(0, 3)...)
			write(t, s, attempts(3, 4)...)
			if err := c.spoil(e); err != nil {
				t.Fatal(err)
			}
			z, err := store.OpenZooKeeper(e.lead().opt)
			if err == nil {
				_, err = z.Load()
			}
			wantError(t, err, strings.ReplaceAll(c.want, "/PATH", e.path))
			wantError(t, err, "the state at "+e.path+" in ZooKeeper")
		})
	}
}

func TestOnlyWhoHasTheCredentialsReadsTheState(t *testing.T) {
	server := shared.Server(t)
	u := zookeeper.URL{Credentials: "payments:s3cret", Servers: []string{server.Address}}
	e := newEnsemble(t, server)
	if err := zookeeper.Authenticate(e.conn, u); err != nil {
		t.Fatal(err)
	}
	l := e.lead()
	l.opt.ACL = u.ACL()
	write(t, l.open(), attempts(0, 3)...)
	for _, credentials := range []string{"", "payments:wrong"} {
		u.Credentials = credentials
		e.conn = server.Connect(t)
		if err := zookeeper.Authenticate(e.conn, u); err != nil {
			t.Fatal(err)
		}
		_, err := store.OpenZooKeeper(e.lead().opt)
		wantError(t, err, "ZooKeeper does not let this scheduler read and write there; give the credentials that it was made with")
	}
}

// connect returns a session through another address, which ends with the test.
func connect(t *testing.T, address string) *zk.Conn {
	t.Helper()
	c, err := zookeeper.Connect(zookeeper.URL{Servers: []string{address}}, 10*time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func BenchmarkZooKeeperWrite(b *testing.B) {
	for _, batch := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			s := newEnsemble(b, zktest.Start(b, true)).lead().open()
			n := 0
			for b.Loop() {
				changes := make([]state.Change, batch)
				for i := range changes {
					changes[i] = state.PutAttempt(attempt("/payments/api", int32(n%100000), 1))
					n++
				}
				if err := s.Write(changes); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkZooKeeperOpen is what a takeover waits for: the store of 100,000
// instances, each with one attempt, opened and loaded.
func BenchmarkZooKeeperOpen(b *testing.B) {
	e := newEnsemble(b, zktest.Start(b, true))
	s := e.lead().open()
	for from := int32(0); from < 100000; from += 1000 {
		changes := attempts(from, from+1000)
		for slot := from; slot < from+1000; slot++ {
			changes = append(changes, state.PutInstance(instance("/payments/api", slot)))
		}
		if err := s.Write(changes); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := e.lead().open().Load(); err != nil {
			b.Fatal(err)
		}
	}
}
