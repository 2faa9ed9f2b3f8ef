package core

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// fullJob asks for everything that a launch has to carry.
func fullJob(t *testing.T) *tandemv1.Job {
	linux, err := structpb.NewStruct(map[string]any{"cpu": map[string]any{"burst": 20000}})
	if err != nil {
		t.Fatal(err)
	}
	yes, no, count := true, false, int32(1)
	return &tandemv1.Job{
		Id: "/payments/api", Type: tandemv1.JobType_JOB_TYPE_SERVICE, Instances: &count, User: "svc-pay",
		Labels:   map[string]string{"tier": "api", "owner": "pay"},
		Executor: &tandemv1.ExecutorSettings{Resources: &tandemv1.Resources{Cpus: 0.1, Mem: 32, Disk: 16}},
		Workloads: []*tandemv1.Workload{{
			Name: "web", Cmd: "exec ./server -p $PORT_HTTP", Lifecycle: tandemv1.Lifecycle_LIFECYCLE_MAIN, Essential: &yes,
			Resources: &tandemv1.Resources{Cpus: 0.5, Mem: 256, Disk: 512},
			Limits:    &tandemv1.Limits{Cpus: proto.Float64(1), Mem: proto.Float64(320), Pids: proto.Int64(200)},
			Linux:     &tandemv1.Linux{Resources: linux},
			Ports:     []*tandemv1.Port{{Name: "admin-ui"}, {Name: "http", HostPort: 31005}},
			Fetch:     []*tandemv1.Fetch{{Uri: "https://example.com/app.tgz", Sha256: "00"}},
			Env: map[string]*tandemv1.EnvValue{
				"MODE":     {Source: &tandemv1.EnvValue_Value{Value: "production"}},
				"PASSWORD": {Source: &tandemv1.EnvValue_Secret{Secret: "db"}},
			},
			HealthCheck: &tandemv1.HealthCheck{
				Kind:        &tandemv1.HealthCheck_Http{Http: &tandemv1.HttpCheck{Port: "http", Path: "/health", Scheme: "http"}},
				GracePeriod: durationpb.New(30 * time.Second), Delay: durationpb.New(0), Interval: durationpb.New(10 * time.Second),
				Timeout: durationpb.New(5 * time.Second), MaxConsecutiveFailures: 3,
			},
			ReadinessCheck: &tandemv1.HealthCheck{Kind: &tandemv1.HealthCheck_Tcp{Tcp: &tandemv1.TcpCheck{Port: "admin-ui"}}},
			Kill: &tandemv1.KillSettings{
				Signal: "SIGINT", GracePeriod: durationpb.New(20 * time.Second), PreStopHttp: &tandemv1.HttpCheck{Path: "/quit"},
			},
			MaxRunTime: durationpb.New(time.Hour),
		}, {
			Name: "log", Args: []string{"tail", "-f", "log"}, Lifecycle: tandemv1.Lifecycle_LIFECYCLE_SIDECAR, Essential: &no, User: "nobody",
			Resources: &tandemv1.Resources{Cpus: 0.1, Mem: 64},
			Kill:      &tandemv1.KillSettings{Signal: "SIGTERM", GracePeriod: durationpb.New(30 * time.Second)},
		}},
	}
}

// TestLaunchGroup compares the whole ACCEPT, and the settings inside it, with
// what testdata/launch.json holds.
func TestLaunchGroup(t *testing.T) {
	cfg := testConfig()
	cfg.Executor.User = "root"
	cfg.Executor.Environment = map[string]string{"TZ": "UTC"}
	c := New(cfg, state.Snapshot{})
	c.Step(epoch, SecretsHeld{[]string{"db"}})
	c.Step(epoch, Subscribed{FrameworkID: mesos.FrameworkID{Value: "fw"}})
	c.Step(epoch, Command{ID: 1, Submit: &Submit{Job: fullJob(t)}})

	offer := parseOffer(t, epoch, "o1", "a1:cpus=4,mem=4096")
	// Part of the agent is reserved for the role, and is used first.
	offer.Resources = append(offer.Resources, mesos.Resource{
		Name: "cpus", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 0.3}, AllocationInfo: offer.AllocationInfo,
		Reservations: []mesos.Resource_ReservationInfo{{Type: mesos.Resource_ReservationInfo_STATIC.Enum(), Role: proto.String("prod")}},
	})
	e := c.Step(epoch, Offers{[]mesos.Offer{offer}})
	if len(e.Calls) == 0 || e.Calls[0].Type != scheduler.Call_ACCEPT {
		t.Fatalf("the calls are %v", e.Calls)
	}
	group := e.Calls[0].Accept.Operations[0].LaunchGroup
	got := map[string]any{"launch_group": group}
	for i := range group.TaskGroup.Tasks {
		task := &group.TaskGroup.Tasks[i]
		settings := &tandemv1.TaskSettings{}
		if err := proto.Unmarshal(task.Data, settings); err != nil {
			t.Fatal(err)
		}
		// protojson varies its spaces on purpose.
		var plain any
		text, err := protojson.Marshal(settings)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &plain); err != nil {
			t.Fatal(err)
		}
		got["settings of "+task.TaskID.Value] = plain
		task.Data = nil
	}
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	file := filepath.Join("testdata", "launch.json")
	want, err := os.ReadFile(file)
	if *rewrite {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("%s\n%s", file, firstDifference(string(want), string(text)))
	}

	// What is launched is part of what was offered.
	offered, err := resource.FromMesos(offer.Resources)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := resource.FromMesos(group.Executor.Resources)
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range group.TaskGroup.Tasks {
		r, err := resource.FromMesos(task.Resources)
		if err != nil {
			t.Fatal(err)
		}
		taken = taken.Add(r)
	}
	if !offered.Contains(taken) {
		t.Errorf("%s is not within %s", taken, offered)
	}
}

// TestUnlimitedGroupHasNoLimits: a group whose limits are not above what it
// allocates says nothing about cgroups to Mesos.
func TestUnlimitedGroupHasNoLimits(t *testing.T) {
	job := fullJob(t)
	job.Workloads[0].Limits = &tandemv1.Limits{Cpus: proto.Float64(0.5), Mem: proto.Float64(256)}
	job.Workloads[0].Env = nil
	c := New(testConfig(), state.Snapshot{})
	c.Step(epoch, Subscribed{FrameworkID: mesos.FrameworkID{Value: "fw"}})
	c.Step(epoch, Command{ID: 1, Submit: &Submit{Job: job}})
	e := c.Step(epoch, Offers{[]mesos.Offer{parseOffer(t, epoch, "o1", "a1:")}})
	for _, task := range e.Calls[0].Accept.Operations[0].LaunchGroup.TaskGroup.Tasks {
		if task.Limits != nil || task.Container != nil {
			t.Errorf("task %s has limits %v and container %v", task.TaskID.Value, task.Limits, task.Container)
		}
	}
}

func TestAgentURL(t *testing.T) {
	at := func(scheme, hostname, ip string) *mesos.Offer {
		u := &mesos.URL{Scheme: scheme, Address: mesos.Address{Port: 5051}}
		if hostname != "" {
			u.Address.Hostname = &hostname
		}
		if ip != "" {
			u.Address.IP = &ip
		}
		return &mesos.Offer{URL: u}
	}
	for _, tt := range []struct {
		name   string
		offer  *mesos.Offer
		secure bool
		want   string
	}{
		{"an agent that does not say", &mesos.Offer{}, true, ""},
		{"by address, as names may mean nothing here", at("http", "agent7", "10.0.0.7"), false, "http://10.0.0.7:5051"},
		{"by name, for its certificate", at("http", "agent7", "10.0.0.7"), true, "https://agent7:5051"},
		{"a certificate without a name", at("https", "", "10.0.0.7"), false, "https://10.0.0.7:5051"},
		{"a name alone", at("http", "agent7", ""), false, "http://agent7:5051"},
		{"IPv6", at("http", "agent7", "fd00::7"), false, "http://[fd00::7]:5051"},
	} {
		if got := agentURL(tt.offer, tt.secure); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
