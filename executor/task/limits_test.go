package task

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func resources(cpus, mem float64) []mesos.Resource {
	var all []mesos.Resource
	for name, value := range map[string]float64{"cpus": cpus, "mem": mem} {
		if value > 0 {
			all = append(all, mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: value}})
		}
	}
	return all
}

func TestLimitsOf(t *testing.T) {
	infinity := math.Inf(1)
	require := func(l *tandemv1.Limits) *tandemv1.TaskSettings { return &tandemv1.TaskSettings{Limits: l} }
	for _, c := range []struct {
		name     string
		kernel   Kernel
		task     mesos.TaskInfo
		settings *tandemv1.TaskSettings
		// want is LinuxResources in JSON.
		want string
		// policy and others are compared where they are set.
		policy  cgroup.Policy
		rlimits []specs.POSIXRlimit
		skipped []string
		score   *int
	}{
		{name: "a plain task", task: mesos.TaskInfo{Resources: resources(0.5, 64)}, policy: cgroup.Prefer,
			want: `{"memory": {"limit": 67108864}, "cpu": {"shares": 512}}`},
		{name: "nothing at all", policy: cgroup.Prefer, want: `{}`},
		{name: "the least share", task: mesos.TaskInfo{Resources: resources(0.001, 0)}, policy: cgroup.Prefer, want: `{"cpu": {"shares": 2}}`},
		{name: "Mesos's own limits", policy: cgroup.Prefer,
			task: mesos.TaskInfo{Resources: resources(1, 64), Limits: map[string]mesos.Value_Scalar{"cpus": {Value: 1.5}, "mem": {Value: 128}}},
			want: `{"memory": {"limit": 134217728}, "cpu": {"shares": 1024, "quota": 150000, "period": 100000}}`},
		{name: "Mesos's infinity", policy: cgroup.Prefer,
			task: mesos.TaskInfo{Resources: resources(1, 64), Limits: map[string]mesos.Value_Scalar{"cpus": {Value: infinity}, "mem": {Value: infinity}}},
			want: `{"cpu": {"shares": 1024}}`},
		{name: "settings come first", task: mesos.TaskInfo{Resources: resources(1, 64), Limits: map[string]mesos.Value_Scalar{"mem": {Value: 128}}},
			settings: require(&tandemv1.Limits{Cpus: proto.Float64(0.005), Mem: proto.Float64(96), Swap: proto.Float64(32), Pids: proto.Int64(20), Nofile: proto.Int64(1024)}),
			want:     `{"memory": {"limit": 100663296, "swap": 134217728}, "cpu": {"shares": 1024, "quota": 1000, "period": 100000}, "pids": {"limit": 20}}`,
			rlimits:  []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1024, Hard: 1024}}},
		{name: "settings without limits", task: mesos.TaskInfo{Resources: resources(1, 64)}, settings: &tandemv1.TaskSettings{},
			want: `{"memory": {"limit": 67108864}, "cpu": {"shares": 1024}}`},
		{name: "more memory than is set aside", policy: cgroup.Prefer, kernel: Kernel{Memory: 1 << 30}, score: new(743),
			task: mesos.TaskInfo{Resources: resources(0, 264), Limits: map[string]mesos.Value_Scalar{"mem": {Value: 300}}},
			want: `{"memory": {"limit": 314572800}}`},
		{name: "as much as there is", policy: cgroup.Prefer, kernel: Kernel{Memory: 1 << 30}, score: new(750),
			task: mesos.TaskInfo{Resources: resources(0, 256), Limits: map[string]mesos.Value_Scalar{"mem": {Value: infinity}}}, want: `{}`},
		{name: "as much as is set aside", policy: cgroup.Prefer, kernel: Kernel{Memory: 1 << 30},
			task: mesos.TaskInfo{Resources: resources(0, 256), Limits: map[string]mesos.Value_Scalar{"mem": {Value: 256}}},
			want: `{"memory": {"limit": 268435456}}`},
		{name: "no word of swap, where there is none to be had", kernel: Kernel{Version: cgroup.V1}, task: mesos.TaskInfo{Resources: resources(1, 64)},
			settings: require(&tandemv1.Limits{}), want: `{"memory": {"limit": 67108864}, "cpu": {"shares": 1024}}`},
		{name: "no word of swap, where it can be bounded", kernel: Kernel{Version: cgroup.V1, BoundsSwap: true}, task: mesos.TaskInfo{Resources: resources(1, 64)},
			settings: require(&tandemv1.Limits{}), want: `{"memory": {"limit": 67108864, "swap": 67108864}, "cpu": {"shares": 1024}}`},
		{name: "all swap there is", kernel: Kernel{Version: cgroup.V1, BoundsSwap: true}, task: mesos.TaskInfo{Resources: resources(1, 64)},
			settings: require(&tandemv1.Limits{Swap: proto.Float64(infinity)}), want: `{"memory": {"limit": 67108864}, "cpu": {"shares": 1024}}`},
		{name: "OCI swap, where it can be bounded", kernel: Kernel{Version: cgroup.V2, BoundsSwap: true}, task: mesos.TaskInfo{Resources: resources(1, 64)},
			settings: &tandemv1.TaskSettings{OciResources: []byte(`{"memory": {"swap": 134217728}}`)},
			want:     `{"memory": {"limit": 67108864, "swap": 134217728}, "cpu": {"shares": 1024}}`},
		{name: "OCI resources, and limits over them", task: mesos.TaskInfo{Resources: resources(1, 64)},
			settings: &tandemv1.TaskSettings{OciResources: []byte(`{"memory": {"limit": 1, "reservation": 1048576}, "cpu": {"shares": 10, "burst": 500}}`)},
			want:     `{"memory": {"limit": 67108864, "reservation": 1048576}, "cpu": {"shares": 10, "burst": 500}}`},
		{name: "io and memHigh on v2", kernel: Kernel{Version: cgroup.V2}, settings: require(&tandemv1.Limits{MemHigh: proto.Float64(300), Io: &tandemv1.IoLimits{Weight: 5000}}),
			want: `{"unified": {"io.weight": "5000", "memory.high": "314572800"}}`},
		{name: "io on v1", kernel: Kernel{Version: cgroup.V1}, settings: require(&tandemv1.Limits{Io: &tandemv1.IoLimits{Weight: 5000}}),
			want: `{"blockIO": {"weight": 1000}}`},
		{name: "memHigh on v1, preferred", kernel: Kernel{Version: cgroup.V1}, policy: cgroup.Prefer,
			settings: require(&tandemv1.Limits{MemHigh: proto.Float64(300), Policy: tandemv1.LimitsPolicy_LIMITS_POLICY_PREFER}),
			want:     `{}`, skipped: []string{"memHigh: it needs cgroup v2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := LimitsOf(c.kernel, &c.task, c.settings)
			if err != nil {
				t.Fatal(err)
			}
			want := &specs.LinuxResources{}
			if err := json.Unmarshal([]byte(c.want), want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Limits{Resources: want, Policy: c.policy, Rlimits: c.rlimits, OOMScoreAdj: c.score, Skipped: c.skipped}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if _, _, err := cgroup.Values(cgroup.V2, got.Resources, cgroup.ValueOptions{}); err != nil {
				t.Errorf("they make no sense: %v", err)
			}
		})
	}
	for want, settings := range map[string]*tandemv1.TaskSettings{
		"memHigh needs cgroup v2":                   require(&tandemv1.Limits{MemHigh: proto.Float64(300)}),
		"are not LinuxResources of the OCI runtime": {OciResources: []byte(`{"memory": 1}`)},
		`unknown field "limits"`:                    {OciResources: []byte(`{"memory": {"limits": 1}}`)},
	} {
		if _, err := LimitsOf(Kernel{Version: cgroup.V1}, &mesos.TaskInfo{}, settings); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestFetchesOf(t *testing.T) {
	no := false
	task := &mesos.TaskInfo{Command: &mesos.CommandInfo{URIs: []mesos.CommandInfo_URI{
		{Value: "http://files.example/app.tgz"},
		{Value: "http://files.example/tool", Executable: proto.Bool(true), Extract: &no, Cache: proto.Bool(true), OutputFile: proto.String("bin/tool")},
	}}}
	settings := &tandemv1.TaskSettings{Fetch: []*tandemv1.Fetch{{Uri: "https://files.example/data.gz", Sha256: "ab", DestPath: "d.gz", Cache: true}}}
	all := FetchesOf(task, settings, "/cache")
	if len(all) != 3 {
		t.Fatalf("got %d fetches", len(all))
	}
	if r := all[0]; r.Extract == nil || !*r.Extract || r.Cache != "" || r.Name != "" {
		t.Errorf("a plain URI: %+v", r)
	}
	if r := all[1]; *r.Extract || !r.Executable || r.Cache != "/cache" || r.Name != "bin/tool" {
		t.Errorf("a URI with everything: %+v", r)
	}
	if r := all[2]; r.Extract != nil || r.SHA256 != "ab" || r.Name != "d.gz" || r.Cache != "/cache" {
		t.Errorf("a file of the settings: %+v", r)
	}
}

// The v1 kernel refuses a quota whose share of its period is above that of the
// container's, which a Mesos agent works out (CpuSubsystemProcess::update) from what the
// executor and its tasks are limited to, cut off after the microsecond.
func TestAQuotaIsNeverAboveTheContainers(t *testing.T) {
	const period, least, executor = 100e6, 1e6, 0.01 // nanoseconds, nanoseconds, and the least that a master takes
	for thousandths := 1; thousandths <= 20_000; thousandths++ {
		cpus := float64(thousandths) / 1000
		l, err := LimitsOf(Kernel{}, &mesos.TaskInfo{Limits: map[string]mesos.Value_Scalar{"cpus": {Value: cpus}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		own := *l.Resources.CPU
		container := max(int64(period*(executor+cpus)), least) / 1000
		if uint64(*own.Quota)*uint64(period)/1000 > uint64(container)**own.Period {
			t.Errorf("%v processors: %d of %d microseconds, where the container has %d of %d", cpus, *own.Quota, *own.Period, container, int64(period/1000))
		}
		if got := float64(*own.Quota) / float64(*own.Period); cpus >= 0.01 && math.Abs(got-cpus) > 1e-5 {
			t.Errorf("%v processors are %v", cpus, got)
		}
	}
}
