// Package leader elects one of a team's schedulers through ZooKeeper, and tells
// the others who it is.
//
// Each scheduler is a candidate: an ephemeral znode with the address that it is
// reached at. The one with the lowest number leads, for as long as its session
// lives.
//
//	candidates/0000000003    {"address":"http://10.0.0.7:7070","token":"…"}
//	candidates/0000000005    …
//
// A leader must stop before another can begin. ZooKeeper ends a session when it
// has heard nothing for the session's time; a leader counts from when it began to
// ask, which is earlier, and allows itself less. It counts from the question
// before the last that was answered, since a server of an ensemble answers at
// once, and tells the others only some time later whom it has heard. What a clock that stands still
// or runs wild lets through is refused elsewhere: the store takes nothing from a
// scheduler whose znode is gone, and a master nothing from one that another has
// replaced.
//
// The package must never let a scheduler lead again that has led: it has to begin
// anew, with what is stored.
package leader

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/zookeeper"
)

// Options are what a Candidate is made of. All but Address and Token must be given.
type Options struct {
	URL zookeeper.URL
	// Address is where the others, and those who ask them, reach this scheduler.
	// It is empty for who only wants nobody else to lead meanwhile.
	Address string
	// Token is something to tell the others by, when this scheduler leads: only
	// who may read the candidates learns it. May be empty.
	Token string
	// SessionTimeout is after how long of a leader's silence another takes over.
	// ZooKeeper looks for sessions that are over once a tick, and the server of an
	// ensemble that does so hears of them from the others with half a tick's delay:
	// it is asked for three quarters of this time, so that it ends them about then
	// where a tick is a fifth. It never grants less than two ticks, by default 4 s.
	SessionTimeout time.Duration
	Log            logrus.FieldLogger
}

const (
	// retry is the wait after ZooKeeper has answered with an error.
	retry = 200 * time.Millisecond
	// margin is the part of the session's time that a leader leaves unused.
	margin = 10
	// renewals is how often a leader asks for its znode within a session's time.
	renewals = 10
)

// session is the time that ZooKeeper is asked for.
func (o *Options) session() time.Duration { return o.SessionTimeout * 3 / 4 }

// ErrLost ends a scheduler that led.
var ErrLost = errors.New("this scheduler has lost its leadership, for ZooKeeper has not heard of it in time; another takes over. Start it again, to stand by")

// Candidate is a scheduler that wants to lead. Its methods may be called by any
// goroutine.
type Candidate struct {
	opt  Options
	conn *zk.Conn
	// expired is closed when the session in which this scheduler leads is over.
	expired chan struct{}
	// again tells that ZooKeeper answers after it had not, when what was seen
	// before need not hold any more.
	again chan struct{}
	// closed is closed by Close.
	closed chan struct{}
	once   sync.Once

	// mu guards what is below.
	mu sync.Mutex
	// leader and token are the leader's, and problem why none is known.
	leader, token string
	problem       string
	// leads is set once and for all when this scheduler is elected.
	leads bool
	// unheard fires when ZooKeeper has been away for a session's time; nil while
	// it is not away.
	unheard *time.Timer
}

// New begins a session, and returns at once.
func New(opt Options) (*Candidate, error) {
	if len(opt.URL.Servers) == 0 || opt.SessionTimeout <= 0 || opt.Log == nil {
		return nil, errors.New("cannot stand for election: URL, SessionTimeout or Log is missing")
	}
	c := &Candidate{opt: opt, expired: make(chan struct{}), again: make(chan struct{}, 1), closed: make(chan struct{}), problem: "ZooKeeper has not answered yet"}
	var err error
	c.conn, err = zookeeper.Connect(opt.URL, opt.session(), func(e zk.Event) {
		switch e.State {
		case zk.StateExpired:
			c.over()
		case zk.StateDisconnected:
			c.away()
		case zk.StateHasSession:
			c.back()
		}
	})
	if err != nil {
		return nil, fmt.Errorf("cannot stand for election: %w", err)
	}
	return c, nil
}

// over notes the end of a session, which is the end of leading.
func (c *Candidate) over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.leads {
		return
	}
	select {
	case <-c.expired:
	default:
		close(c.expired)
	}
}

// away notes that ZooKeeper is. After a session's time another scheduler may lead
// than the one that is known.
func (c *Candidate) away() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leads || c.unheard != nil {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(c.opt.SessionTimeout, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.unheard == timer {
			c.know("", "", fmt.Sprintf("ZooKeeper at %s has not answered for %s", c.opt.URL, c.opt.SessionTimeout))
		}
	})
	c.unheard = timer
}

// back notes that ZooKeeper answers.
func (c *Candidate) back() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unheard == nil {
		return
	}
	c.unheard.Stop()
	c.unheard = nil
	select {
	case c.again <- struct{}{}:
	default:
	}
}

// Conn is the session that leadership belongs to.
func (c *Candidate) Conn() *zk.Conn { return c.conn }

// Leader returns the leader's address and token, or an error that says why none is
// known.
func (c *Candidate) Leader() (address, token string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader == "" {
		return "", "", errors.New(c.problem)
	}
	return c.leader, c.token, nil
}

func (c *Candidate) set(leader, token, problem string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.know(leader, token, problem)
}

// know is set for who holds mu.
func (c *Candidate) know(leader, token, problem string) {
	if c.leads {
		return
	}
	if leader == "" && problem != "" && problem != c.problem {
		c.opt.Log.Warnf("no leader is known: %s", problem)
	}
	if leader != "" && leader != c.leader {
		c.opt.Log.Infof("the leader is at %s", leader)
	}
	c.leader, c.token, c.problem = leader, token, problem
}

// Close ends the session, so that another can lead at once. Closing twice is
// harmless.
func (c *Candidate) Close() {
	c.once.Do(func() { close(c.closed) })
	c.conn.Close()
}

// Lead blocks until this scheduler leads, and returns how long. It is called
// once. ZooKeeper may be away for as long as it likes; the error says what will
// not get better by itself, or is the context's.
func (c *Candidate) Lead(ctx context.Context) (*Lease, error) {
	authenticated := false
	for {
		var lease *Lease
		var changed <-chan zk.Event
		var err error
		if !authenticated {
			err = zookeeper.Authenticate(c.conn, c.opt.URL)
			authenticated = err == nil
		}
		if err == nil {
			lease, changed, err = c.look()
		}
		switch {
		case lease != nil:
			return lease, nil
		case errors.Is(err, zk.ErrNoAuth):
			return nil, fmt.Errorf("cannot stand for election at %s: ZooKeeper does not let this scheduler read and write there; "+
				"give the credentials that it was made with: zk://user:password@host:port/path", c.opt.URL)
		case err != nil:
			c.set("", "", fmt.Sprintf("ZooKeeper at %s: %v", c.opt.URL, err))
		}
		var later <-chan time.Time
		if err != nil {
			later = time.After(retry)
		}
		select {
		case <-changed:
		case <-c.again:
		case <-later:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Found reports whether there is a znode of the name below the URL's path. It
// blocks while ZooKeeper is away, until ctx ends.
func (c *Candidate) Found(ctx context.Context, name string) (bool, error) {
	for {
		err := zookeeper.Authenticate(c.conn, c.opt.URL)
		found := false
		if err == nil {
			found, _, err = c.conn.Exists(path.Join(c.opt.URL.Path, name))
		}
		if !zookeeper.Uncertain(err) {
			return found, err
		}
		select {
		case <-time.After(retry):
		case <-ctx.Done():
			return false, err
		}
	}
}

// candidate is a znode of one.
type candidate struct {
	name    string
	number  uint64
	session int64
	address string
	token   string
}

// look finds who leads: this scheduler, which has a lease then, or another, in
// which case it returns where a change will be told. It makes this scheduler a
// candidate when it is none.
func (c *Candidate) look() (*Lease, <-chan zk.Event, error) {
	began := time.Now()
	dir := c.opt.URL.Path + "/candidates"
	names, _, changed, err := c.conn.ChildrenW(dir)
	if errors.Is(err, zk.ErrNoNode) {
		if err := c.makePath(dir); err != nil {
			return nil, nil, err
		}
		names, _, changed, err = c.conn.ChildrenW(dir)
	}
	if err != nil {
		return nil, nil, err
	}
	all, err := c.read(dir, names)
	if err != nil {
		return nil, nil, err
	}
	// Its own znode is told by its session, not by a name that was answered: the
	// answer to its making may have been lost.
	session := c.conn.SessionID()
	if !slices.ContainsFunc(all, func(o candidate) bool { return o.session == session }) {
		data, err := json.Marshal(map[string]string{"address": c.opt.Address, "token": c.opt.Token})
		if err != nil {
			return nil, nil, err
		}
		if _, err := c.conn.Create(dir+"/", data, zk.FlagEphemeral|zk.FlagSequence, c.opt.URL.ACL()); err != nil {
			return nil, nil, err
		}
		// The watch tells of it, and of everything before it.
		return nil, changed, nil
	}
	first := all[0]
	if first.session != session {
		c.set(first.address, first.token, "something else than a scheduler holds the state, such as `tandem state`")
		return nil, changed, nil
	}
	lease, err := c.lease(path.Join(dir, first.name), session, began)
	return lease, changed, err
}

// read returns the candidates, the lowest number first.
func (c *Candidate) read(dir string, names []string) ([]candidate, error) {
	var all []candidate
	for _, name := range names {
		number, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			continue
		}
		data, stat, err := c.conn.Get(path.Join(dir, name))
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var says struct{ Address, Token string }
		// What is not understood has no address to be passed on to, and leads
		// all the same.
		_ = json.Unmarshal(data, &says)
		all = append(all, candidate{name, number, stat.EphemeralOwner, says.Address, says.Token})
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(a.number, b.number) })
	return all, nil
}

// makePath makes the directory, and those above it that are not there.
func (c *Candidate) makePath(dir string) error {
	at := ""
	for part := range strings.SplitSeq(dir[1:], "/") {
		at += "/" + part
		if found, _, err := c.conn.Exists(at); err != nil || found {
			if err != nil {
				return err
			}
			continue
		}
		acl := c.opt.URL.ACL()
		if len(at) < len(c.opt.URL.Path) {
			// What is above is not this team's alone.
			acl = zk.WorldACL(zk.PermAll)
		}
		if _, err := c.conn.Create(at, nil, 0, acl); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
	}
	return nil
}
