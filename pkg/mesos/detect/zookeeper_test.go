package detect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/tandem-mesos/tandem/pkg/zookeeper"
	"github.com/tandem-mesos/tandem/pkg/zookeeper/zktest"
)

// ensemble is a real ZooKeeper of one server.
type ensemble struct {
	*zktest.Server
	t    *testing.T
	addr string
}

func startZooKeeper(t *testing.T) *ensemble {
	t.Helper()
	t.Parallel()
	s := zktest.Start(t, false)
	return &ensemble{s, t, s.Address}
}

// connect gives a session such as a master's.
func (e *ensemble) connect() *zk.Conn { return e.Connect(e.t) }

// register makes the znode of a master, and returns its path.
func (e *ensemble) register(c *zk.Conn, path string, port int) string {
	e.t.Helper()
	data := strings.ReplaceAll(leaderInfo, "5250", fmt.Sprint(port))
	at, err := c.Create(path+"/json.info_", []byte(data), zk.FlagEphemeral|zk.FlagSequence, zk.WorldACL(zk.PermAll))
	if err != nil {
		e.t.Fatal(err)
	}
	return at
}

func (e *ensemble) make(c *zk.Conn, path string) {
	e.t.Helper()
	if _, err := c.Create(path, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		e.t.Fatal(err)
	}
}

func (e *ensemble) detector(credentials, path string) *ZooKeeper {
	e.t.Helper()
	z, err := NewZooKeeper(zookeeper.URL{Credentials: credentials, Servers: []string{e.addr}, Path: path})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { z.Close() })
	return z
}

// eventually waits for something that happens in another process.
func eventually(t *testing.T, what string, happened func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := happened()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func leads(t *testing.T, z *ZooKeeper, want string) Leader {
	t.Helper()
	var l Leader
	eventually(t, want+" leads", func() (err error) {
		if l, err = z.Leader(t.Context()); err == nil && l.Address != want {
			err = errors.New(l.Address + " leads")
		}
		return err
	})
	return l
}

func TestZooKeeperFollowsTheLeader(t *testing.T) {
	e := startZooKeeper(t)
	masters := e.connect()
	z := e.detector("", "/mesos")
	z.patience = 100 * time.Millisecond
	eventually(t, "it is known that none is there", func() error {
		_, err := z.Leader(t.Context())
		if want := "no leading master is known from ZooKeeper at zk://" + e.addr + "/mesos: no master has registered below /mesos yet"; err == nil || err.Error() != want {
			return fmt.Errorf("got %w, want %s", err, want)
		}
		return nil
	})
	e.make(masters, "/mesos")
	e.make(masters, "/mesos/log_replicas")
	first := e.register(masters, "/mesos", 5250)
	l := leads(t, z, "127.0.0.1:5250")
	second := e.register(masters, "/mesos", 5260)
	third := e.register(masters, "/mesos", 5270)
	select {
	case <-l.Changed:
		t.Error("a master that does not lead changed the leader")
	default:
	}

	delete := func(path string) {
		t.Helper()
		if err := masters.Delete(path, 0); err != nil {
			t.Fatal(err)
		}
	}
	delete(first)
	<-l.Changed
	l = leads(t, z, "127.0.0.1:5260")
	delete(third)
	delete(second)
	eventually(t, "none leads", func() error {
		if l, err := z.Leader(t.Context()); err == nil {
			return errors.New(l.Address + " leads")
		}
		return nil
	})
	select {
	case <-l.Changed:
		t.Error("nobody in its place changed the leader")
	default:
	}
	e.register(masters, "/mesos", 5280)
	<-l.Changed
	leads(t, z, "127.0.0.1:5280")
}

func TestZooKeeperAway(t *testing.T) {
	e := startZooKeeper(t)
	z := e.detector("", "/mesos")
	masters := e.connect()
	e.make(masters, "/mesos")
	e.register(masters, "/mesos", 5250)
	l := leads(t, z, "127.0.0.1:5250")

	e.Stop()
	eventually(t, "the session is lost", func() error {
		if z.conn.State() == zk.StateHasSession {
			return errors.New("it is there")
		}
		return nil
	})
	want := "ZooKeeper at zk://" + e.addr + "/mesos cannot be reached, and another master may lead by now"
	if got, err := z.Leader(t.Context()); err != nil || got.Address != "127.0.0.1:5250" || got.Doubt == nil || got.Doubt.Error() != want {
		t.Errorf("while ZooKeeper is away: got %v, %v, want the last leader, and in doubt: %s", got, err, want)
	}
	e.Restart(t)
	// The old master's znode is there until its session ends.
	again := e.connect()
	eventually(t, "another registers", func() error {
		_, err := again.Create("/mesos/json.info_", []byte(strings.ReplaceAll(leaderInfo, "5250", "5260")), zk.FlagEphemeral|zk.FlagSequence, zk.WorldACL(zk.PermAll))
		return err
	})
	masters.Close()
	<-l.Changed
	if l = leads(t, z, "127.0.0.1:5260"); l.Doubt != nil {
		t.Errorf("ZooKeeper is back, and yet: %v", l.Doubt)
	}
}

func TestClosingWhileZooKeeperIsAway(t *testing.T) {
	e := startZooKeeper(t)
	z := e.detector("ops:s3cret", "/mesos")
	z.patience = time.Millisecond
	eventually(t, "there is a session", func() error {
		if _, err := z.Leader(t.Context()); !strings.HasSuffix(err.Error(), "no master has registered below /mesos yet") {
			return err
		}
		return nil
	})
	e.Stop()
	if err := z.Close(); err != nil {
		t.Error(err)
	}
}

func TestZooKeeperThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	z, err := NewZooKeeper(zookeeper.URL{Credentials: "ops:s3cret", Servers: []string{l.Addr().String()}, Path: "/mesos"})
	if err != nil {
		t.Fatal(err)
	}
	z.patience = time.Millisecond
	want := "no leading master is known from ZooKeeper at zk://ops:***@" + l.Addr().String() + "/mesos: it cannot be reached"
	if _, err := z.Leader(t.Context()); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	z.patience = time.Hour
	if _, err := z.Leader(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	z.Close()
	z.Close()
	if _, err := z.Leader(t.Context()); err == nil || err.Error() != "the detector was closed" {
		t.Errorf("after Close: %v", err)
	}
}

// TestZooKeeperWithCredentials: what masters with credentials register everybody
// may read, so that right and wrong ones work alike.
func TestZooKeeperWithCredentials(t *testing.T) {
	e := startZooKeeper(t)
	masters := e.connect()
	if err := masters.AddAuth("digest", []byte("ops:s3cret")); err != nil {
		t.Fatal(err)
	}
	acl := append(zk.DigestACL(zk.PermAll, "ops", "s3cret"), zk.WorldACL(zk.PermRead)...)
	for _, path := range []string{"/clusters", "/clusters/one"} {
		if _, err := masters.Create(path, nil, 0, acl); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := masters.Create("/clusters/one/json.info_", []byte(leaderInfo), zk.FlagEphemeral|zk.FlagSequence, acl); err != nil {
		t.Fatal(err)
	}
	for _, credentials := range []string{"ops:s3cret", "ops:wrong", ""} {
		leads(t, e.detector(credentials, "/clusters/one"), "127.0.0.1:5250")
	}
	t.Run("and a master whose znode is of no use", func(t *testing.T) {
		if _, err := masters.Create("/clusters/two", nil, 0, acl); err != nil {
			t.Fatal(err)
		}
		if _, err := masters.Create("/clusters/two/json.info_0000000001", []byte("{}"), zk.FlagEphemeral, acl); err != nil {
			t.Fatal(err)
		}
		z := e.detector("", "/clusters/two")
		z.patience = time.Second
		_, err := z.Leader(t.Context())
		if want := "the znode /clusters/two/json.info_0000000001 says nothing useful: it has no address with a host and a port"; err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

// TestAFrozenServer of an ensemble does not keep the others' answer away.
func TestAFrozenServer(t *testing.T) {
	e := startZooKeeper(t)
	frozen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	masters := e.connect()
	e.make(masters, "/mesos")
	e.register(masters, "/mesos", 5250)
	// The client takes servers in a random order: for one of these the frozen one
	// comes first.
	var detectors []*ZooKeeper
	for range 5 {
		z, err := NewZooKeeper(zookeeper.URL{Servers: []string{frozen.Addr().String(), e.addr}, Path: "/mesos"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { z.Close() })
		detectors = append(detectors, z)
	}
	for _, z := range detectors {
		leads(t, z, "127.0.0.1:5250")
	}
}
