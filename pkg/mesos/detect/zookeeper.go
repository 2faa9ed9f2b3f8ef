package detect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/tandem-mesos/tandem/pkg/zookeeper"
)

const (
	// sessionTimeout is that of the ZooKeeper session, which holds nothing but
	// watches. The client takes a server for dead after two thirds of it.
	sessionTimeout = 10 * time.Second
	// patience is how long Leader waits for a leader to be known.
	patience = 10 * time.Second
	// retry is the wait after ZooKeeper has answered with an error.
	retry = time.Second
)

// infoPrefix begins the names of the masters' znodes below the path. Ten digits
// follow, and the lowest number leads. There are other children.
const infoPrefix = "json.info_"

// ZooKeeper detects the leader that the masters have elected through ZooKeeper,
// and follows every change. While ZooKeeper is away the last known leader
// stands, in doubt. It may be used by several goroutines.
type ZooKeeper struct {
	url  zookeeper.URL
	conn *zk.Conn
	// patience is that of the constant, but for tests.
	patience time.Duration
	// closing is closed by Close, and done when the goroutine has ended.
	closing, done chan struct{}
	once          sync.Once

	// mu guards what is below.
	mu sync.Mutex
	// address is the leader's, empty while none is known, and changed is closed
	// when it becomes another's.
	address string
	changed chan struct{}
	// news is closed and made anew whenever address or problem changes.
	news chan struct{}
	// problem is why no leader is known, for a person.
	problem error
}

// NewZooKeeper begins to look for the leader, and returns at once.
func NewZooKeeper(u zookeeper.URL) (*ZooKeeper, error) {
	conn, err := zookeeper.Connect(u, sessionTimeout, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot look for the master: %w", err)
	}
	z := &ZooKeeper{
		url: u, conn: conn, patience: patience,
		closing: make(chan struct{}), done: make(chan struct{}),
		changed: make(chan struct{}), news: make(chan struct{}),
	}
	go z.follow()
	return z, nil
}

// Leader returns the leading master, and waits some seconds for there to be one.
func (z *ZooKeeper) Leader(ctx context.Context) (Leader, error) {
	timeout := time.NewTimer(z.patience)
	defer timeout.Stop()
	for {
		z.mu.Lock()
		l, news, problem := Leader{Address: z.address, Changed: z.changed}, z.news, z.problem
		z.mu.Unlock()
		away := z.conn.State() != zk.StateHasSession
		if l.Address != "" {
			if away {
				l.Doubt = fmt.Errorf("ZooKeeper at %s cannot be reached, and another master may lead by now", z.url)
			}
			return l, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return Leader{}, context.Cause(ctx)
		case <-z.done:
			return Leader{}, errors.New("the detector was closed")
		case <-timeout.C:
			if away || problem == nil {
				problem = errors.New("it cannot be reached")
			}
			return Leader{}, fmt.Errorf("no leading master is known from ZooKeeper at %s: %w", z.url, problem)
		}
	}
}

// Close ends the session with ZooKeeper, and returns nil. Closing twice is
// harmless.
func (z *ZooKeeper) Close() error {
	z.once.Do(func() {
		close(z.closing)
		z.conn.Close()
	})
	<-z.done
	return nil
}

// follow keeps what Leader returns up to date until Close.
func (z *ZooKeeper) follow() {
	defer close(z.done)
	authenticated := false
	for {
		var events <-chan zk.Event
		var err error
		if !authenticated {
			// Masters let everybody read what they register, so that wrong
			// credentials do no harm.
			err = zookeeper.Authenticate(z.conn, z.url)
			authenticated = err == nil
		}
		if err == nil {
			events, err = z.look()
		}
		wait := time.NewTimer(retry)
		if err != nil {
			z.set("", err)
		} else {
			wait.Stop()
		}
		select {
		case <-events:
		case <-wait.C:
		case <-z.closing:
			wait.Stop()
			return
		}
		wait.Stop()
	}
}

// look finds who leads, and returns where a change will be told.
func (z *ZooKeeper) look() (<-chan zk.Event, error) {
	children, _, events, err := z.conn.ChildrenW(z.url.Path)
	for errors.Is(err, zk.ErrNoNode) {
		found, _, created, missing := z.conn.ExistsW(z.url.Path)
		if missing != nil {
			return nil, missing
		}
		if !found {
			z.set("", fmt.Errorf("no master has registered below %s yet", z.url.Path))
			return created, nil
		}
		children, _, events, err = z.conn.ChildrenW(z.url.Path)
	}
	if err != nil {
		return nil, err
	}
	name := lowest(children)
	if name == "" {
		z.set("", fmt.Errorf("no master is registered below %s", z.url.Path))
		return events, nil
	}
	data, _, err := z.conn.Get(path.Join(z.url.Path, name))
	if errors.Is(err, zk.ErrNoNode) {
		// The watch tells of its going.
		return events, nil
	}
	if err != nil {
		return nil, err
	}
	address, err := masterAddress(data)
	if err != nil {
		return nil, fmt.Errorf("the znode %s says nothing useful: %w", path.Join(z.url.Path, name), err)
	}
	z.set(address, nil)
	return events, nil
}

// set notes who leads, or why nobody is known to. What leads stays the leader
// until another is known, for those who have asked.
func (z *ZooKeeper) set(address string, problem error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if problem != nil && z.conn.State() != zk.StateHasSession {
		// ZooKeeper is away, which says nothing of the masters.
		z.problem = problem
		return
	}
	if address != "" && address != z.address {
		close(z.changed)
		z.changed = make(chan struct{})
	}
	z.address, z.problem = address, problem
	close(z.news)
	z.news = make(chan struct{})
}

// lowest returns the name of the leading master's znode among the children of
// the path, or nothing.
func lowest(children []string) string {
	leader, number := "", uint64(0)
	for _, c := range children {
		digits, ok := strings.CutPrefix(c, infoPrefix)
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(digits, 10, 64); err == nil && (leader == "" || n < number) {
			leader, number = c, n
		}
	}
	return leader
}

// masterAddress reads the data of a master's znode: a MasterInfo in JSON. Its
// field ip is a number in the wrong byte order; address is what counts.
func masterAddress(data []byte) (string, error) {
	var info struct {
		Address struct {
			Hostname, IP string
			Port         int
		}
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return "", fmt.Errorf("it is not a MasterInfo in JSON: %w", err)
	}
	a := info.Address
	host := a.IP
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = a.Hostname
	}
	if host == "" || a.Port < 1 || a.Port > 65535 {
		return "", errors.New("it has no address with a host and a port")
	}
	return net.JoinHostPort(host, strconv.Itoa(a.Port)), nil
}
