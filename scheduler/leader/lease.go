package leader

import (
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/tandem-mesos/tandem/pkg/zookeeper"
)

// Lease is the time that a scheduler leads. Its methods may be called by any
// goroutine.
type Lease struct {
	fence string
	lost  chan struct{}
	once  sync.Once

	// mu guards until.
	mu sync.Mutex
	// until is when the lease ends unless it is renewed. It has a reading of the
	// monotonic clock.
	until time.Time
}

// lease makes this scheduler the leader. It was seen to be the first candidate
// by questions that began at the time.
func (c *Candidate) lease(fence string, session int64, began time.Time) (*Lease, error) {
	c.mu.Lock()
	c.leads, c.leader, c.problem = true, c.opt.Address, ""
	c.mu.Unlock()
	if c.conn.SessionID() != session {
		// Expired before that was noted.
		return nil, ErrLost
	}
	term := c.opt.session() - c.opt.session()/margin
	l := &Lease{fence: fence, lost: make(chan struct{}), until: began.Add(term)}
	go l.renew(c, began, term)
	return l, nil
}

// Fence is the path of the leader's znode. What is written on the condition that
// it exists is not written by a leader that was.
func (l *Lease) Fence() string { return l.fence }

// Lost is closed when this scheduler does not lead any more.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Check returns ErrLost unless this scheduler leads now, and is quick. A process
// that had been stopped learns it here, whatever else has not run since.
func (l *Lease) Check() error {
	select {
	case <-l.lost:
		return ErrLost
	default:
	}
	if !time.Now().Before(l.ends()) {
		return ErrLost
	}
	return nil
}

func (l *Lease) end() { l.once.Do(func() { close(l.lost) }) }

// renew asks for the leader's znode again and again, and ends the lease when it
// is not there, or nobody has answered in time.
func (l *Lease) renew(c *Candidate, began time.Time, term time.Duration) {
	defer l.end()
	for {
		asked := time.Now()
		answer := make(chan error, 1)
		go func() { answer <- l.ask(c) }()
		wait, end := time.NewTimer(term/renewals), time.NewTimer(time.Until(l.ends()))
		lives := func() bool {
			defer wait.Stop()
			defer end.Stop()
			select {
			case err := <-answer:
				if err == nil {
					if !l.extend(began.Add(term)) {
						return false
					}
					began = asked
				} else if !zookeeper.Uncertain(err) {
					return false
				}
			case <-end.C:
				return false
			case <-c.expired:
				return false
			case <-c.closed:
				return false
			}
			select {
			case <-wait.C:
				return true
			case <-c.expired:
				return false
			case <-c.closed:
				return false
			}
		}()
		if !lives {
			return
		}
	}
}

// ask returns nil when the ensemble, and not only the server asked, has the
// leader's znode.
func (l *Lease) ask(c *Candidate) error {
	if _, err := c.conn.Sync(l.fence); err != nil {
		return err
	}
	found, _, err := c.conn.Exists(l.fence)
	if err == nil && !found {
		err = zk.ErrNoNode
	}
	return err
}

func (l *Lease) ends() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// extend lets the lease last until the time, unless it has ended: an answer that
// comes too late cannot bring it back.
func (l *Lease) extend(until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !time.Now().Before(l.until) {
		return false
	}
	l.until = until
	return true
}
