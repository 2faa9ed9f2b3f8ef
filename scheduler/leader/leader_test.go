package leader_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"github.com/tandem-mesos/tandem/pkg/zookeeper"
	"github.com/tandem-mesos/tandem/pkg/zookeeper/zktest"
	"github.com/tandem-mesos/tandem/scheduler/leader"
)

// shared is one ZooKeeper for all tests that do not harm it.
var shared zktest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	shared.Stop()
	os.Exit(code)
}

var paths atomic.Int64

// somewhere is a path that no other test uses, and that is not there.
func somewhere(server string) zookeeper.URL {
	return zookeeper.URL{Servers: []string{server}, Path: fmt.Sprintf("/teams/test%d", paths.Add(1))}
}

func stand(t *testing.T, u zookeeper.URL, address string) *leader.Candidate {
	t.Helper()
	log, _ := logtest.NewNullLogger()
	c, err := leader.New(leader.Options{URL: u, Address: address, SessionTimeout: 2 * time.Second, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// leads waits until the candidate leads.
func leads(t *testing.T, c *leader.Candidate) *leader.Lease {
	t.Helper()
	l, err := c.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Check(); err != nil {
		t.Fatalf("elected, and then: %v", err)
	}
	return l
}

// knows waits until the candidate says who leads.
func knows(t *testing.T, c *leader.Candidate, want string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		got, _, err := c.Leader()
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the leader is said to be %q, %v; want %s", got, err, want)
		}
	}
}

// later has the candidate stand by. What it returns gets its lease.
func later(t *testing.T, c *leader.Candidate) <-chan *leader.Lease {
	elected := make(chan *leader.Lease, 1)
	go func() {
		l, err := c.Lead(t.Context())
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			close(elected)
			return
		}
		elected <- l
	}()
	return elected
}

func TestTheFirstLeads(t *testing.T) {
	t.Parallel()
	u := somewhere(shared.Server(t).Address)
	a, b, c := stand(t, u, "http://a:7070"), stand(t, u, "http://b:7070"), stand(t, u, "http://c:7070")
	first := leads(t, a)
	knows(t, a, "http://a:7070")
	second := later(t, b)
	knows(t, b, "http://a:7070")
	third := later(t, c)
	knows(t, c, "http://a:7070")

	// One that stands by and goes is not missed.
	b.Close()
	a.Close()
	<-first.Lost()
	if l := <-third; l.Check() != nil {
		t.Error("the third does not lead")
	}
	knows(t, c, "http://c:7070")
	if err := first.Check(); !errors.Is(err, leader.ErrLost) {
		t.Errorf("the first says %v", err)
	}
	select {
	case <-second:
		t.Error("who had gone was elected")
	default:
	}
}

// TestALeaderThatIsCutOff has lost before another is elected, and does not come
// back.
func TestALeaderThatIsCutOff(t *testing.T) {
	t.Parallel()
	server := shared.Server(t)
	u := somewhere(server.Address)
	proxy := zktest.NewProxy(t, server.Address)
	near := u
	near.Servers = []string{proxy.Address}
	a, b := stand(t, near, "http://a:7070"), stand(t, u, "http://b:7070")
	first := leads(t, a)
	second := later(t, b)
	knows(t, b, "http://a:7070")
	proxy.Cut()
	l := <-second
	select {
	case <-first.Lost():
	default:
		t.Error("the second was elected while the first led")
	}
	proxy.Heal()
	knows(t, b, "http://b:7070")
	if err := first.Check(); !errors.Is(err, leader.ErrLost) {
		t.Errorf("the first says %v", err)
	}
	if err := l.Check(); err != nil {
		t.Errorf("the second says %v", err)
	}
}

// TestAShortCut, and a restart of ZooKeeper, are no end of leading.
func TestAShortCut(t *testing.T) {
	t.Parallel()
	server := zktest.Start(t, true)
	proxy := zktest.NewProxy(t, server.Address)
	u := somewhere(proxy.Address)
	log, _ := logtest.NewNullLogger()
	a, err := leader.New(leader.Options{URL: u, Address: "http://a:7070", SessionTimeout: 10 * time.Second, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	l := leads(t, a)
	b := stand(t, u, "http://b:7070")
	later(t, b)
	knows(t, b, "http://a:7070")
	proxy.Cut()
	proxy.Heal()
	server.Stop()
	server.Restart(t)
	// The leader's session answers again.
	if _, _, err := a.Conn().Get(l.Fence()); err != nil && !zookeeper.Uncertain(err) {
		t.Fatal(err)
	}
	if err := l.Check(); err != nil {
		t.Error(err)
	}
}

// TestAZnodeThatIsTakenAway, by a person, ends leading.
func TestAZnodeThatIsTakenAway(t *testing.T) {
	t.Parallel()
	server := shared.Server(t)
	a := stand(t, somewhere(server.Address), "http://a:7070")
	l := leads(t, a)
	if err := server.Connect(t).Delete(l.Fence(), -1); err != nil {
		t.Fatal(err)
	}
	<-l.Lost()
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	u := somewhere(shared.Server(t).Address)
	u.Path = fmt.Sprintf("/guarded%d/payments", paths.Add(1))
	u.Credentials = "payments:s3cret"
	leads(t, stand(t, u, "http://a:7070"))
	// What it has made above its own znode, others can use.
	neighbour := u
	neighbour.Path, neighbour.Credentials = path.Join(path.Dir(u.Path), "shop"), "shop:other"
	leads(t, stand(t, neighbour, "http://d:7070"))
	b := stand(t, u, "http://b:7070")
	later(t, b)
	knows(t, b, "http://a:7070")
	for _, credentials := range []string{"", "payments:wrong"} {
		other := u
		other.Credentials = credentials
		_, err := stand(t, other, "http://c:7070").Lead(t.Context())
		if want := "give the credentials that it was made with"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", credentials, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "wrong") {
			t.Errorf("the error has the password in it: %v", err)
		}
	}
}

// TestWhoCannotReachZooKeeper waits, and says why it knows no leader.
// TestAStandbyThatIsCutOff does not go by what it knew for longer than a session's
// time, and knows it again when ZooKeeper is back, with whatever has changed or not.
func TestAStandbyThatIsCutOff(t *testing.T) {
	t.Parallel()
	server := shared.Server(t)
	u := somewhere(server.Address)
	leads(t, stand(t, u, "http://a:7070"))
	proxy := zktest.NewProxy(t, server.Address)
	cut := u
	cut.Servers = []string{proxy.Address}
	b := stand(t, cut, "http://b:7070")
	later(t, b)
	for range 2 {
		knows(t, b, "http://a:7070")
		proxy.Cut()
		knows(t, b, "")
		if _, _, err := b.Leader(); err == nil || !strings.Contains(err.Error(), "ZooKeeper at zk://"+proxy.Address) {
			t.Errorf("no leader is known because of %v", err)
		}
		proxy.Heal()
	}
	knows(t, b, "http://a:7070")
}

func TestWhoCannotReachZooKeeper(t *testing.T) {
	t.Parallel()
	server := shared.Server(t)
	proxy := zktest.NewProxy(t, server.Address)
	proxy.Cut()
	u := somewhere(proxy.Address)
	a := stand(t, u, "http://a:7070")
	elected := later(t, a)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		_, _, err := a.Leader()
		if err != nil && strings.Contains(err.Error(), "ZooKeeper at "+u.String()) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it says %v", err)
		}
	}
	proxy.Heal()
	<-elected
	knows(t, a, "http://a:7070")
}

// TestAnotherProgramsZnodes among the candidates are no candidates.
func TestAnotherProgramsZnodes(t *testing.T) {
	t.Parallel()
	server := shared.Server(t)
	u := somewhere(server.Address)
	conn := server.Connect(t)
	for _, p := range []string{"/teams", u.Path, u.Path + "/candidates", u.Path + "/candidates/lock"} {
		if _, err := conn.Create(p, nil, 0, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			t.Fatal(err)
		}
	}
	leads(t, stand(t, u, "http://a:7070"))
}
