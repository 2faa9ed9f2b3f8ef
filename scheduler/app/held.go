package app

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-mesos/tandem/pkg/zookeeper"
	"github.com/tandem-mesos/tandem/scheduler/api"
	"github.com/tandem-mesos/tandem/scheduler/artifact"
	"github.com/tandem-mesos/tandem/scheduler/leader"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/store"
)

// held is a state that this scheduler alone may change, and for how long.
type held struct {
	store.Store
	// shared says that other schedulers stand by.
	shared bool
	// lost is closed when another scheduler may take over; nil when none can.
	lost <-chan struct{}
	// check returns an error when lost is or ought to be closed.
	check func() error
	// release lets others have a shared state, at once.
	release func()
}

// holdFile opens a state that one scheduler at a time uses.
func holdFile(dir string) (*held, error) {
	records, err := store.OpenBolt(dir)
	if err != nil {
		return nil, err
	}
	return &held{Store: records, check: func() error { return nil }}, nil
}

// holdShared opens a state that several schedulers share, and stands by until it
// is this one's turn. Its error means nothing once ctx has ended.
func holdShared(ctx context.Context, opt Options, at zookeeper.URL, address string, front *api.Front, door *door, proof *credential, files *artifact.Artifacts, metrics *prometheus.Registry) (*held, error) {
	token := rand.Text()
	files.Share(token)
	candidate, err := leader.New(leader.Options{
		URL: at, Address: address, Token: token, SessionTimeout: opt.SessionTimeout, Log: opt.Log.WithField("component", "leader"),
	})
	if err != nil {
		return nil, err
	}
	opt.Log.Infof("standing by, until this scheduler is the one to lead of those that share the state at %s", at)
	follower, err := store.NewFollower(candidate.Conn(), at.Path)
	if err != nil {
		candidate.Close()
		return nil, err
	}
	copies := &copies{opt: opt, door: door, proof: proof, follower: follower}
	lease, err := standBy(ctx, opt, candidate, copies, front, door, files, metrics)
	if err != nil {
		candidate.Close()
		return nil, err
	}
	opt.Log.Info("this scheduler leads now")
	records, err := store.OpenZooKeeper(store.ZooKeeperOptions{
		Conn: candidate.Conn(), Path: at.Path, ACL: at.ACL(), Fence: lease.Fence(), Lost: lease.Lost(),
	})
	if err != nil {
		candidate.Close()
		return nil, err
	}
	return &held{Store: records, shared: true, lost: lease.Lost(), check: lease.Check, release: candidate.Close}, nil
}

// standBy has a standby answer requests until the candidate leads.
func standBy(ctx context.Context, opt Options, c *leader.Candidate, copies *copies, front *api.Front, door *door, files *artifact.Artifacts, metrics *prometheus.Registry) (*leader.Lease, error) {
	if err := registerLeads(metrics, copies); err != nil {
		return nil, err
	}
	standby, err := api.NewStandby(api.StandbyOptions{
		Leader: func() (string, error) {
			address, _, err := c.Leader()
			return address, err
		},
		Copy: copies.latest, Files: files, Artifacts: files, Log: opt.Log.WithField("component", "api"), Gatherer: metrics,
		Gate: door.gate, LeaderTLS: door.peers.Client(),
	})
	if err != nil {
		return nil, err
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	front.Answer(standby)
	defer front.Answer(nil)
	go copies.follower.Run(waiting)
	go copyFiles(waiting, opt, c, files, door.peers.Client())
	return c.Lead(waiting)
}

// copyInterval is how long after its upload a standby may have no copy of a file
// yet.
const copyInterval = 3 * time.Second

// copyFiles keeps a copy of the leader's files, for the time after it.
func copyFiles(ctx context.Context, opt Options, c *leader.Candidate, files *artifact.Artifacts, peers *tls.Config) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: peers, TLSHandshakeTimeout: 10 * time.Second}}
	log, last := opt.Log.WithField("component", "artifact"), ""
	for {
		if address, token, err := c.Leader(); err == nil {
			copied, err := files.CopyFrom(ctx, client, address, token)
			if copied > 0 {
				log.Infof("copied %d files of the leader at %s", copied, address)
			}
			problem := ""
			if err != nil && ctx.Err() == nil {
				problem = err.Error()
			}
			if problem != "" && problem != last {
				log.Warnf("cannot copy the leader's files: %s; trying again", problem)
			}
			last = problem
		}
		select {
		case <-time.After(copyInterval):
		case <-ctx.Done():
			return
		}
	}
}

// registerLeads has the metrics say whether this scheduler leads, in place of
// what they said before; of a standby also how old its copy of the state is.
func registerLeads(metrics *prometheus.Registry, copies *copies) error {
	leads := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tandem_leader",
		Help: "1 while this scheduler leads, as one that is alone always does, and 0 while it stands by.",
	})
	copied := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tandem_standby_copied_timestamp_seconds",
		Help: "When this standby has last read a change of the state, by which it answers readers while nobody leads; 0 before that. As the time since 1970, in seconds.",
	}, func() float64 { return copies.copiedAt() })
	metrics.Unregister(leads)
	metrics.Unregister(copied)
	all := []prometheus.Collector{leads}
	if copies == nil {
		leads.Set(1)
	} else {
		all = append(all, copied)
	}
	for _, c := range all {
		if err := metrics.Register(c); err != nil {
			return fmt.Errorf("cannot register metrics: %w", err)
		}
	}
	return nil
}

// artifacts is the directory of uploaded files.
func (o *Options) artifacts() string {
	if o.Artifacts != "" {
		return o.Artifacts
	}
	return filepath.Join(o.StateDir, "artifacts")
}

// fenced is a subscription of a scheduler that may be replaced by another. Nothing
// is launched that is not stored, and the store refuses a scheduler that was
// replaced; this stops the calls that need no store. What a process that had been
// stopped sends between the look at the clock and the wire, the master refuses,
// for it has ended this subscription when another began.
type fenced struct {
	loop.Stream
	check func() error
}

// Send implements loop.Stream.
func (f *fenced) Send(ctx context.Context, calls []*scheduler.Call) []error {
	if err := f.check(); err != nil {
		errs := make([]error, len(calls))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	return f.Stream.Send(ctx, calls)
}
