package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/zookeeper"
	"github.com/tandem-mesos/tandem/scheduler/leader"
	"github.com/tandem-mesos/tandem/scheduler/store"
)

// OpenState opens the state of a scheduler that is stopped, or of several that
// all are, as option StateDir names it. What is not there is made only when
// create says so. The error is one line. Log gets what goes on meanwhile.
func OpenState(ctx context.Context, where string, create bool, log logrus.FieldLogger) (store.Store, error) {
	if strings.HasPrefix(where, zookeeper.Scheme) {
		u, err := parseShared(where)
		if err != nil {
			return nil, fmt.Errorf("--state: %w", err)
		}
		return openShared(ctx, u, create, log)
	}
	if _, err := os.Stat(filepath.Join(where, store.BoltFile)); err != nil && !create {
		return nil, fmt.Errorf("cannot open the state: %w", err)
	}
	return store.OpenBolt(where)
}

// ShowState is how option StateDir is shown to people: without a password.
func ShowState(where string) string {
	if u, err := zookeeper.Parse(where); err == nil {
		return u.String()
	}
	return where
}

func parseShared(where string) (zookeeper.URL, error) {
	u, err := zookeeper.Parse(where)
	if errors.Is(err, zookeeper.ErrNoPath) {
		err = fmt.Errorf("%w; give the team one of its own: zk://host:port/tandem/TEAM", err)
	}
	return u, err
}

// borrowed is a shared state that nobody else may use meanwhile.
type borrowed struct {
	*store.ZooKeeper
	candidate *leader.Candidate
}

// Close gives the state up to others.
func (b *borrowed) Close() error {
	defer b.candidate.Close()
	return b.ZooKeeper.Close()
}

// patience is for how long OpenState waits for a shared state: longer than the
// session of a scheduler lasts that was killed a moment ago.
const patience = 15 * time.Second

// openShared opens a state in ZooKeeper as a leader does, which is how it is seen
// to that no scheduler writes meanwhile.
func openShared(ctx context.Context, u zookeeper.URL, create bool, log logrus.FieldLogger) (store.Store, error) {
	fail := func(err error) (store.Store, error) {
		return nil, fmt.Errorf("cannot open the state at %s: %w", u, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	candidate, err := leader.New(leader.Options{URL: u, SessionTimeout: DefaultOptions().SessionTimeout, Log: log})
	if err != nil {
		return fail(err)
	}
	b, err := func() (*borrowed, error) {
		if !create {
			found, err := candidate.Found(ctx, "state")
			if err != nil {
				return nil, err
			}
			if !found {
				return nil, errors.New("there is none")
			}
		}
		lease, err := candidate.Lead(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			at, _, why := candidate.Leader()
			if why != nil {
				return nil, why
			}
			return nil, fmt.Errorf("the scheduler at %s is using it; stop all that share it first", at)
		}
		if err != nil {
			return nil, err
		}
		z, err := store.OpenZooKeeper(store.ZooKeeperOptions{
			Conn: candidate.Conn(), Path: u.Path, ACL: u.ACL(), Fence: lease.Fence(), Lost: lease.Lost(),
		})
		return &borrowed{z, candidate}, err
	}()
	if err != nil {
		candidate.Close()
		return fail(err)
	}
	return b, nil
}
