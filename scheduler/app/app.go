// Package app is a scheduler as one function: Run puts its parts together in one
// straight line, starts them, and stops them in reverse.
//
//	people, programs                         masters
//	      │ HTTP                                ▲ HTTP
//	   ┌──▼──┐  Submit, Stop   ┌──────┐  call   │  ┌────────┐
//	   │ api ├────────────────▶│ loop ├─────────┴─▶│schedul-│  who leads  ┌────────┐
//	   │     │◀────────────────┤      │◀───────────┤ erapi  │◀────────────┤ detect │
//	   └──┬──┘  View: records  └─┬──┬─┘   events   └────────┘             └────────┘
//	      │ files                │  │ Write
//	 ┌────▼─────┐           Step │  ▼
//	 │ artifact │           ┌────▼┐ ┌───────┐
//	 └────▲─────┘           │core │ │ store │
//	      │ GET             └─────┘ └───────┘
//	    agents
//
// The package must never hold a rule of its own: it knows who needs whom.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tandem-mesos/tandem/pkg/mesos/agentapi"
	"github.com/tandem-mesos/tandem/pkg/mesos/detect"
	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
	"github.com/tandem-mesos/tandem/scheduler/api"
	"github.com/tandem-mesos/tandem/scheduler/artifact"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/leader"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/secret"
	"github.com/tandem-mesos/tandem/scheduler/store"
)

// Run runs a scheduler until ctx ends or something fails. When ctx ends it
// answers the calls in flight, finishes what was decided, closes its
// subscription and returns nil: the framework stays registered and its tasks
// run on. Every line of the error is for the person who runs the scheduler, and
// says what is wrong and what to do.
func Run(ctx context.Context, opt Options) (err error) {
	masters, shared, advertised, err := opt.validate()
	if err != nil {
		return &WrongOptions{err}
	}
	log := opt.Log

	door, err := opt.Access.door(log)
	if err != nil {
		return &WrongOptions{err}
	}
	defer func() { err = errors.Join(err, door.writes.Close()) }()
	proof, err := opt.credential()
	if err != nil {
		return &WrongOptions{err}
	}
	tending, stopTending := context.WithCancel(ctx)
	var tended sync.WaitGroup
	tended.Go(func() { opt.watcher(door, proof).Run(tending) })
	defer tended.Wait()
	defer stopTending()

	if opt.DebugSocket != "" {
		wait, err := debug(tending, opt.DebugSocket)
		if err != nil {
			return err
		}
		defer wait()
	}
	listener, err := listen(opt.Listen)
	if err != nil {
		return err
	}
	// The API closes it; until then a failure below does.
	defer listener.Close()
	if advertised == nil {
		advertised = reachable(opt.Access.scheme(), listener.Addr(), masters)
	}
	warnOfLoopback(log, masters, advertised)
	opt.Access.warnOfClearText(log, opt.Listen)

	var records *held
	if shared == nil {
		// The lock on the state is that on the artifacts, too.
		if records, err = holdFile(opt.StateDir); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, records.Close()) }()
	}
	files, err := artifact.Open(opt.artifacts(), advertised.String())
	if err != nil {
		return err
	}
	executor, digest, err := executorAddress(opt, files)
	if err != nil {
		return err
	}

	secrets, err := openSecrets(opt)
	if err != nil {
		return err
	}

	config := opt.coreConfig(executor, digest, files.Base(), rand.Uint64())
	if err := config.Validate(); err != nil {
		return err
	}

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	ready := func() {
		local := localAddress(opt.Access.scheme(), listener.Addr())
		log.WithField("component", "api").WithField("master", opt.masterShown(masters)).Infof("the API and the page are at %s", local)
		if opt.Ready != nil {
			opt.Ready(Addresses{Local: local.String(), Advertised: advertised.String()})
		}
	}
	front, err := api.NewFront(api.FrontOptions{
		TLS: door.server(), Connections: opt.Access.MaxConnections, Log: log.WithField("component", "api"), Registerer: registry,
	})
	if err != nil {
		return err
	}
	// The API stops first, while the loop still answers the calls in flight.
	apiCtx, stopAPI := context.WithCancel(ctx)
	apiErr := make(chan error, 1)
	var serving sync.WaitGroup
	serving.Go(func() {
		defer stopAPI()
		apiErr <- front.Serve(apiCtx, listener)
	})
	defer serving.Wait()
	defer stopAPI()
	if shared != nil {
		// A standby answers requests, too.
		ready()
		if records, err = holdShared(apiCtx, opt, *shared, advertised.String(), front, door, proof, files, registry); err != nil {
			if apiCtx.Err() != nil {
				return <-apiErr
			}
			return err
		}
		defer records.release()
	}
	if err := registerLeads(registry, nil); err != nil {
		return err
	}
	saved, err := records.Load()
	if err != nil {
		return err
	}
	if err := loop.Complete(saved); err != nil {
		return err
	}

	detector, err := newDetector(masters)
	if err != nil {
		return err
	}
	defer detector.Close()
	client, err := schedulerapi.New(schedulerapi.Options{Detector: detector, Credential: proof.master, TLS: proof.mesosTLS()})
	if err != nil {
		return err
	}

	home := newHome(opt, proof, saved, detector)
	l, err := loop.New(loop.Options{
		Core:       core.New(config, saved),
		Store:      records,
		Saved:      saved,
		MastersTLS: opt.MesosTLS,
		Subscribe: func(ctx context.Context, call *scheduler.Call) (loop.Stream, error) {
			if err := records.check(); err != nil {
				return nil, err
			}
			if err := home.check(ctx); err != nil {
				return nil, err
			}
			s, err := client.Subscribe(ctx, call)
			if err != nil {
				// Not a nil *Stream within a Stream that is not nil.
				return nil, err
			}
			return &fenced{s, records.check}, nil
		},
		Secrets:           secrets,
		Framework:         opt.framework(advertised),
		ExecutorDigest:    config.Executor.Digest(),
		FirstSequence:     uint64(time.Now().UnixMicro()),
		FirstSubscription: opt.MasterTimeout,
		Log:               log.WithField("component", "loop"),
		Metrics:           registry,
	})
	if err != nil {
		return err
	}

	inquirer := &inquirer{roles: config.Roles, detector: detector, masters: home.masters, now: time.Now}
	tended.Go(func() { inquirer.tell(tending, waits(l.View()), tellWithheld(tending, l)) })

	server, err := api.New(api.Options{
		Commander: l, Reader: l.View(), Files: files, Artifacts: files,
		CallBack: advertised.String(), Leader: records.shared,
		Gate: door.gate, Audit: door.writes, Names: opt.names(advertised),
		Limits:    api.Limits{Rate: opt.Access.RateLimit},
		Sandboxes: agentapi.New(agentapi.Options{Credential: proof.agent, TLS: proof.mesosTLS()}),
		Master:    inquirer,
		Log:       log.WithField("component", "api"), Registerer: registry, Gatherer: registry,
	})
	if err != nil {
		return err
	}

	loopCtx, stopLoop := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLoop()
	loopErr := make(chan error, 1)
	go func() {
		loopErr <- l.Run(loopCtx)
		stopAPI()
	}()
	front.Answer(server)

	if shared == nil {
		ready()
	}

	select {
	case err = <-apiErr:
		stopLoop()
		err = errors.Join(err, <-loopErr)
	case <-records.lost:
		// Its subscription ends at once; calls in flight are answered by that.
		stopLoop()
		stopAPI()
		err = errors.Join(leader.ErrLost, onlyNews(<-loopErr), <-apiErr)
	}
	if errors.Is(err, store.ErrDeposed) {
		return leader.ErrLost
	}
	return err
}

// openSecrets returns nil where no directory is given.
func openSecrets(opt Options) (loop.Secrets, error) {
	if opt.SecretsDir == "" {
		return nil, nil
	}
	dir, err := secret.Open(opt.SecretsDir)
	if err != nil {
		return nil, fmt.Errorf("--secrets-dir: %w", err)
	}
	if dir.Exposed() {
		opt.Log.Warnf("everybody on this machine may look into the secrets' directory; close it with chmod o= %s", opt.SecretsDir)
	}
	return dir, nil
}

// onlyNews leaves out of how the loop ended what ErrLost says already.
func onlyNews(err error) error {
	if errors.Is(err, store.ErrDeposed) || errors.Is(err, leader.ErrLost) {
		return nil
	}
	return err
}

// detector is a way to find the leading master that may have to be closed.
type detector interface {
	schedulerapi.Detector
	io.Closer
}

func newDetector(m detect.Masters) (detector, error) {
	if m.ZooKeeper != nil {
		return detect.NewZooKeeper(*m.ZooKeeper)
	}
	return detect.NewList(m.List), nil
}

// executorAddress is where agents fetch the executor's binary, and its SHA-256 where
// that is known.
func executorAddress(opt Options, files *artifact.Artifacts) (address, digest string, err error) {
	if opt.ExecutorURI != "" {
		return opt.ExecutorURI, "", nil
	}
	path := opt.Executor
	if path == "" {
		if path, err = artifact.ExecutorPath(); err != nil {
			return "", "", err
		}
	}
	if address, digest, err = files.PutExecutor(path); err != nil {
		return "", "", fmt.Errorf("%w (--executor names another file, --executor-uri an address)", err)
	}
	return address, digest, nil
}
