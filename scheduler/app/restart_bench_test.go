package app_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/app"
)

// BenchmarkRestart is what a team waits for when its scheduler starts again with
// 100,000 tasks: to be subscribed, and to have had the master's word on each of
// them, asked by name and with all others; and then how long a scrape of its
// metrics takes. Master, agents and executors, which run nothing, share the
// process and its processors with the scheduler.
func BenchmarkRestart(b *testing.B) {
	const tasks, agents, each = 100_000, 1000, 10_000
	cluster := fakeCluster(b, agents)
	opt := app.DefaultOptions()
	opt.Master, opt.Listen = strings.TrimPrefix(cluster.URL(), "http://"), "127.0.0.1:0"
	opt.StateDir = filepath.Join(b.TempDir(), "state")
	log := logrus.New()
	log.SetOutput(io.Discard)
	opt.Log = log
	var err error
	if opt.Executor, err = os.Executable(); err != nil {
		b.Fatal(err)
	}

	at, stop := begin(b, opt)
	client := tandemv1connect.NewSchedulerServiceClient(http.DefaultClient, at)
	for n := range tasks / each {
		submitMany(b, client, n, each)
	}
	until(b, at, `tandem_instances{phase="running"}`, func(n float64) bool { return n == tasks })
	until(b, at, "tandem_mesos_calls_waiting", func(n float64) bool { return n == 0 })
	stop()

	const scrapes = 20
	var subscribed, reconciled, scraped time.Duration
	for b.Loop() {
		began := time.Now()
		at, stop := begin(b, opt)
		client := tandemv1connect.NewSchedulerServiceClient(http.DefaultClient, at)
		for {
			f, err := client.GetFramework(b.Context(), &tandemv1.GetFrameworkRequest{})
			if err != nil {
				b.Fatal(err)
			}
			if f.Framework.Subscribed {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		subscribed += time.Since(began)
		until(b, at, `tandem_loop_inputs_total{type="updated"}`, func(n float64) bool { return n >= 2*tasks })
		reconciled += time.Since(began)
		b.StopTimer()
		began = time.Now()
		for range scrapes {
			metric(b, at, "tandem_agents")
		}
		scraped += time.Since(began)
		stop()
		b.StartTimer()
	}
	b.ReportMetric(subscribed.Seconds()/float64(b.N), "s-subscribed")
	b.ReportMetric(reconciled.Seconds()/float64(b.N), "s-reconciled")
	b.ReportMetric(float64(scraped.Microseconds())/1000/float64(scrapes*b.N), "ms-scrape")
}

// fakeCluster has agents whose executors run nothing.
func fakeCluster(b *testing.B, agents int) *localmesos.Cluster {
	b.Helper()
	cluster, err := localmesos.Start(b.Context(), localmesos.Options{
		Agents: agents, Agent: agent.Options{Fake: &agent.Fake{}, Resources: "cpus:64;mem:65536;disk:100000"},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cluster.Stop(context.Background()) })
	return cluster
}

// submitMany submits the n-th job, of so many instances.
func submitMany(b *testing.B, client tandemv1connect.SchedulerServiceClient, n, instances int) {
	b.Helper()
	job, err := jobspec.Parse("bench.yaml", fmt.Appendf(nil, `id: /job%d
instances: %d
executor: {resources: {cpus: 0.01, mem: 32, disk: 1}}
workloads: [{name: web, cmd: serve, resources: {cpus: 0.01, mem: 16}}]
`, n, instances))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := client.SubmitJob(b.Context(), &tandemv1.SubmitJobRequest{Job: job}); err != nil {
		b.Fatal(err)
	}
}

// begin runs a scheduler until the returned function has stopped it, and returns
// its address.
func begin(b *testing.B, opt app.Options) (at string, stop func()) {
	b.Helper()
	ready, done := make(chan string, 1), make(chan error, 1)
	opt.Ready = func(a app.Addresses) { ready <- a.Local }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- app.Run(ctx, opt) }()
	select {
	case at = <-ready:
	case err := <-done:
		cancel()
		b.Fatal(err)
	}
	return at, func() {
		b.Helper()
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

// until waits until a metric of the scheduler has come to a value.
func until(b *testing.B, at, name string, reached func(float64) bool) {
	b.Helper()
	for !reached(metric(b, at, name)) {
		time.Sleep(20 * time.Millisecond)
	}
}

// metric returns what the scheduler says of itself, and 0 where it says nothing.
func metric(b *testing.B, at, name string) float64 {
	b.Helper()
	r, err := http.Get(at + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	value := 0.0
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			if value, err = strconv.ParseFloat(text, 64); err != nil {
				b.Fatal(err)
			}
		}
	}
	return value
}
