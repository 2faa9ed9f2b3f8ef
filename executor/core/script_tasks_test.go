package core

import (
	"strconv"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func nanoseconds(t *testing.T, text string) *mesos.DurationInfo {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return &mesos.DurationInfo{Nanoseconds: d.Nanoseconds()}
}

// tasks reads descriptions such as "web lifecycle=sidecar grace=5s; db fetch".
func (s *script) tasks(text string) []mesos.TaskInfo {
	var tasks []mesos.TaskInfo
	for description := range strings.SplitSeq(text, ";") {
		words := strings.Fields(description)
		task := mesos.TaskInfo{
			Name: words[0], TaskID: mesos.TaskID{Value: words[0]}, AgentID: mesos.AgentID{Value: "agent-1"},
			Command: &mesos.CommandInfo{Value: proto.String("exec ./" + words[0])},
		}
		var settings *tandemv1.TaskSettings
		set := func() *tandemv1.TaskSettings {
			if settings == nil {
				settings = &tandemv1.TaskSettings{Magic: settingsMagic}
			}
			return settings
		}
		for _, w := range words[1:] {
			key, value, _ := strings.Cut(w, "=")
			switch key {
			case "grace":
				task.KillPolicy = &mesos.KillPolicy{GracePeriod: nanoseconds(s.t, value)}
			case "max":
				task.MaxCompletionTime = nanoseconds(s.t, value)
			case "fetch":
				task.Command.URIs = []mesos.CommandInfo_URI{{Value: "http://files.example/" + words[0] + ".tgz"}}
			case "no-command":
				task.Command = nil
			case "no-value":
				task.Command.Value, task.Command.Shell = nil, proto.Bool(false)
			case "bundle":
				set().OciConfinement = []byte(`{"bundle": "` + value + `"}`)
			case "container":
				task.Container = containers[value]
			case "lifecycle":
				set().Lifecycle = tandemv1.Lifecycle(tandemv1.Lifecycle_value["LIFECYCLE_"+strings.ToUpper(value)])
			case "essential":
				set().Essential = true
			case "restart": // attempts/interval/delay/max
				parts := strings.Split(value, "/")
				n, err := strconv.Atoi(parts[0])
				s.must(description, err)
				var d [3]time.Duration
				for i := range d {
					d[i], err = time.ParseDuration(parts[i+1])
					s.must(description, err)
				}
				set().Restart = &tandemv1.WorkloadRestart{
					Attempts: proto.Int32(int32(n)), Factor: 2,
					Interval: durationpb.New(d[0]), Delay: durationpb.New(d[1]), MaxDelay: durationpb.New(d[2]),
				}
			case "restart-finished":
				set().RestartFinished = true
			case "signal":
				set().KillSignal = value
			case "newer": // What a later scheduler could ask for, in which message.
				unknown := protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 1)
				in := map[string]proto.Message{"": set(), "restart": &tandemv1.WorkloadRestart{}, "fetch": &tandemv1.Fetch{}}[value]
				in.ProtoReflect().SetUnknown(unknown)
				switch m := in.(type) {
				case *tandemv1.WorkloadRestart:
					settings.Restart = m
				case *tandemv1.Fetch:
					settings.Fetch = []*tandemv1.Fetch{{Uri: "/a"}, m}
				}
			case "disk":
				mib, err := strconv.ParseFloat(value, 64)
				s.must(description, err)
				set().Limits = &tandemv1.Limits{Disk: &mib}
			case "prestop":
				set().PreStopHttp = &tandemv1.HttpCheck{Path: value}
				settings.PreStopPort = 31000
			case "prestop-command":
				set().PreStopCommand = &tandemv1.CommandCheck{Cmd: value}
			case "readiness":
				set().ReadinessCheck = &tandemv1.HealthCheck{
					Kind:  &tandemv1.HealthCheck_Http{Http: &tandemv1.HttpCheck{Path: value}},
					Delay: durationpb.New(500 * time.Millisecond), Interval: durationpb.New(2 * time.Second), Timeout: durationpb.New(time.Second),
				}
				settings.ReadinessPort = 31000
			case "health":
				task.HealthCheck = &mesos.HealthCheck{
					Type: mesos.HealthCheck_HTTP, HTTP: &mesos.HealthCheck_HTTPCheckInfo{Port: 31000, Path: proto.String(value)},
				}
			case "health-command":
				task.HealthCheck = &mesos.HealthCheck{Type: mesos.HealthCheck_COMMAND, Command: &mesos.CommandInfo{Value: &value}}
			case "check":
				task.Check = &mesos.CheckInfo{
					Type:    mesos.CheckInfo_COMMAND,
					Command: &mesos.CheckInfo_Command{Command: mesos.CommandInfo{Value: &value}},
				}
			case "delay", "interval", "timeout", "grace-period":
				d, err := time.ParseDuration(value)
				s.must(description, err)
				number := d.Seconds()
				if h := task.HealthCheck; h != nil {
					*map[string]**float64{
						"delay": &h.DelaySeconds, "interval": &h.IntervalSeconds, "timeout": &h.TimeoutSeconds, "grace-period": &h.GracePeriodSeconds,
					}[key] = &number
				}
			case "failures":
				n, err := strconv.Atoi(value)
				s.must(description, err)
				task.HealthCheck.ConsecutiveFailures = proto.Uint32(uint32(n))
			default:
				s.t.Fatalf("unknown word %q in the task %q", w, description)
			}
		}
		if settings != nil {
			data, err := proto.Marshal(settings)
			s.must(description, err)
			task.Data = data
		}
		tasks = append(tasks, task)
	}
	return tasks
}

// containers are those that a task of a script can have, by what they ask for.
var containers = map[string]*mesos.ContainerInfo{
	"docker":       {Docker: &mesos.ContainerInfo_DockerInfo{}},
	"image":        {Mesos: &mesos.ContainerInfo_MesosInfo{Image: &mesos.Image{}}},
	"volumes":      {Volumes: []mesos.Volume{{ContainerPath: "data"}}},
	"network":      {NetworkInfos: []mesos.NetworkInfo{{}}},
	"hostname":     {Hostname: proto.String("web")},
	"terminal":     {TTYInfo: &mesos.TTYInfo{}},
	"seccomp":      {LinuxInfo: &mesos.LinuxInfo{Seccomp: &mesos.SeccompInfo{ProfileName: proto.String("default.json")}}},
	"unconfined":   {LinuxInfo: &mesos.LinuxInfo{Seccomp: &mesos.SeccompInfo{Unconfined: proto.Bool(true)}}},
	"ipc":          {LinuxInfo: &mesos.LinuxInfo{IPCMode: mesos.LinuxInfo_PRIVATE.Enum()}},
	"shm":          {LinuxInfo: &mesos.LinuxInfo{SHMSize: proto.Uint32(64)}},
	"shared":       {LinuxInfo: &mesos.LinuxInfo{IPCMode: mesos.LinuxInfo_SHARE_PARENT.Enum(), SharePIDNamespace: proto.Bool(true)}},
	"capabilities": {LinuxInfo: &mesos.LinuxInfo{EffectiveCapabilities: &mesos.CapabilityInfo{}}, RlimitInfo: &mesos.RLimitInfo{}},
}
