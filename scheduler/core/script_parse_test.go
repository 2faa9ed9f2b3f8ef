package core

import (
	"strconv"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/types/known/durationpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// What the words of a script's lines stand for.

// parseJob reads /JOB TYPE COUNT and then options. Without a workload there is
// one, web, with cpus 1 and mem 128.
func parseJob(t *testing.T, words []string) *tandemv1.Job {
	n, err := strconv.Atoi(words[2])
	if err != nil {
		t.Fatal(err)
	}
	count := int32(n)
	j := &tandemv1.Job{
		Id: words[0], Type: tandemv1.JobType(tandemv1.JobType_value["JOB_TYPE_"+strings.ToUpper(words[1])]), Instances: &count,
		Update: &tandemv1.UpdatePolicy{MaxParallel: 1, MinHealthyTime: durationpb.New(10 * time.Second), ProgressDeadline: durationpb.New(10 * time.Minute)},
		Restart: &tandemv1.RestartPolicy{Interval: durationpb.New(10 * time.Minute), Delay: durationpb.New(time.Second), Factor: 2,
			MaxDelay: durationpb.New(5 * time.Minute)},
		Unreachable: &tandemv1.UnreachablePolicy{InactiveAfter: durationpb.New(5 * time.Minute), ExpungeAfter: durationpb.New(10 * time.Minute)},
		Executor:    &tandemv1.ExecutorSettings{Resources: &tandemv1.Resources{Cpus: 0.1, Mem: 32, Disk: 16}},
	}
	attempts := int32(0)
	if j.Type == tandemv1.JobType_JOB_TYPE_SERVICE {
		attempts = 10
	}
	j.Restart.Attempts = &attempts
	for _, w := range words[3:] {
		key, value, _ := strings.Cut(w, "=")
		number, _ := strconv.Atoi(value)
		d, _ := time.ParseDuration(value)
		switch {
		case strings.HasPrefix(w, "workload:"):
			j.Workloads = append(j.Workloads, parseWorkload(t, w[len("workload:"):]))
		case key == "constraint":
			parts := strings.SplitN(value, ",", 3)
			c := &tandemv1.Constraint{Attribute: parts[0], Operator: tandemv1.ConstraintOperator(tandemv1.ConstraintOperator_value["CONSTRAINT_OPERATOR_"+parts[1]])}
			if len(parts) == 3 {
				c.Value = parts[2]
			}
			j.Constraints = append(j.Constraints, c)
		case key == "attempts":
			attempts := int32(number)
			j.Restart.Attempts = &attempts
		case key == "minHealthyTime":
			j.Update.MinHealthyTime = durationpb.New(d)
		case key == "maxParallel":
			j.Update.MaxParallel = int32(number)
		case key == "cron":
			j.Schedule = &tandemv1.Schedule{Cron: strings.ReplaceAll(value, "_", " "), TimeZone: "UTC"}
		case key == "overlap":
			j.Schedule.Overlap = tandemv1.Overlap(tandemv1.Overlap_value["OVERLAP_"+strings.ToUpper(value)])
		case key == "catchUp":
			j.Schedule.CatchUp = durationpb.New(d)
		case key == "canary":
			j.Update.Canary = int32(number)
		case key == "autoRevert":
			revert := value == "true"
			j.Update.AutoRevert = &revert
		case key == "inactiveAfter":
			j.Unreachable.InactiveAfter = durationpb.New(d)
		case key == "share":
			j.Executor.Share = tandemv1.ExecutorShare(tandemv1.ExecutorShare_value["EXECUTOR_SHARE_"+strings.ToUpper(value)])
		case key == "user":
			j.User = value
		case key == "volume":
			j.Volumes = append(j.Volumes, parseVolume(t, value))
		case key == "maxFailures":
			failures := int32(number)
			j.Update.MaxFailures = &failures
		case key == "progressDeadline":
			j.Update.ProgressDeadline = durationpb.New(d)
		case key == "rebalance":
			j.Rebalance = &tandemv1.RebalancePolicy{Interval: durationpb.New(d)}
		case key == "version", key == "force":
		default:
			t.Fatalf("unknown option %q", w)
		}
	}
	if len(j.Workloads) == 0 {
		j.Workloads = append(j.Workloads, parseWorkload(t, "name=web"))
	}
	return j
}

func parseWorkload(t *testing.T, text string) *tandemv1.Workload {
	essential := true
	w := &tandemv1.Workload{
		Cmd: "exec ./serve", Lifecycle: tandemv1.Lifecycle_LIFECYCLE_MAIN, Resources: &tandemv1.Resources{Cpus: 1, Mem: 128},
		Kill: &tandemv1.KillSettings{Signal: "SIGTERM", GracePeriod: durationpb.New(30 * time.Second)},
	}
	for _, o := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(o, "=")
		number, _ := strconv.ParseFloat(value, 64)
		switch key {
		case "name":
			w.Name = value
		case "cpus":
			w.Resources.Cpus = number
		case "gpus":
			w.Resources.Gpus = number
		case "mem":
			w.Resources.Mem = number
		case "disk":
			w.Resources.Disk = number
		case "lifecycle":
			w.Lifecycle = tandemv1.Lifecycle(tandemv1.Lifecycle_value["LIFECYCLE_"+strings.ToUpper(value)])
			essential = w.Lifecycle <= tandemv1.Lifecycle_LIFECYCLE_MAIN
		case "essential":
			essential = value == "true"
		case "port":
			name, host, _ := strings.Cut(value, ":")
			p, _ := strconv.Atoi(host)
			w.Ports = append(w.Ports, &tandemv1.Port{Name: name, HostPort: int32(p)})
		case "maxcpus":
			w.Limits = &tandemv1.Limits{Cpus: &number}
		case "health":
			w.HealthCheck = &tandemv1.HealthCheck{
				Kind:        &tandemv1.HealthCheck_Http{Http: &tandemv1.HttpCheck{Port: value, Path: "/", Scheme: "http"}},
				GracePeriod: durationpb.New(30 * time.Second), Delay: durationpb.New(0), Interval: durationpb.New(10 * time.Second),
				Timeout: durationpb.New(5 * time.Second), MaxConsecutiveFailures: 3,
			}
		case "restart":
			w.Restart = &tandemv1.WorkloadRestart{}
		case "ready":
			w.ReadinessCheck = &tandemv1.HealthCheck{
				Kind:  &tandemv1.HealthCheck_Http{Http: &tandemv1.HttpCheck{Port: value, Path: "/ready", Scheme: "http"}},
				Delay: durationpb.New(0), Interval: durationpb.New(5 * time.Second), Timeout: durationpb.New(5 * time.Second),
			}
		case "secret":
			w.Env = map[string]*tandemv1.EnvValue{"SECRET": {Source: &tandemv1.EnvValue_Secret{Secret: value}}}
		case "cmd":
			w.Cmd = value
		case "maxRunTime":
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			w.MaxRunTime = durationpb.New(d)
		default:
			t.Fatalf("unknown option of a workload %q", o)
		}
	}
	w.Essential = &essential
	return w
}

func parseOffer(t *testing.T, now time.Time, id, text string) mesos.Offer {
	agent, rest, _ := strings.Cut(text, ":")
	role := "prod"
	o := mesos.Offer{
		ID: mesos.OfferID{Value: id}, FrameworkID: mesos.FrameworkID{Value: "fw"},
		AgentID: mesos.AgentID{Value: agent}, Hostname: agent + ".example",
	}
	amounts := map[string]float64{"cpus": 4, "mem": 4096, "disk": 10000}
	ports := "31000-31009"
	for _, w := range strings.Split(rest, ",") {
		key, value, ok := strings.Cut(w, "=")
		switch {
		case !ok:
		case key == "role":
			role = value
		case key == "unavailable":
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			o.Unavailability = &mesos.Unavailability{
				Start: mesos.TimeInfo{Nanoseconds: now.Add(d).UnixNano()}, Duration: &mesos.DurationInfo{Nanoseconds: int64(time.Hour)},
			}
		case key == "ports":
			ports = value
		case key == "volume", key == "reserved":
			o.Resources = append(o.Resources, offeredVolume(t, value, role, key == "volume"))
		default:
			if n, err := strconv.ParseFloat(value, 64); err == nil {
				amounts[key] = n
			} else {
				o.Attributes = append(o.Attributes, mesos.Attribute{Name: key, Type: mesos.TEXT, Text: &mesos.Value_Text{Value: value}})
			}
		}
	}
	o.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
	for _, name := range sortedKeys(amounts) {
		if amounts[name] > 0 {
			o.Resources = append(o.Resources, mesos.Resource{
				Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: amounts[name]},
				AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role},
			})
		}
	}
	begin, end, _ := strings.Cut(ports, "-")
	b, err1 := strconv.ParseUint(begin, 10, 32)
	e, err2 := strconv.ParseUint(end, 10, 32)
	if err1 != nil || err2 != nil {
		t.Fatalf("bad ports %q", ports)
	}
	o.Resources = append(o.Resources, mesos.Resource{
		Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: b, End: e}}},
		AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role},
	})
	return o
}

func parseWithheld(words []string) *Withheld {
	w := &Withheld{Agents: map[string]string{}}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		if key != "quota" {
			w.Agents[key] = strings.ReplaceAll(value, "_", " ")
			continue
		}
		parts := strings.Split(value, ",")
		limit, _ := strconv.ParseFloat(parts[2], 64)
		consumed, _ := strconv.ParseFloat(parts[3], 64)
		w.Quotas = append(w.Quotas, &tandemv1.RoleQuota{
			Role: parts[0], Limits: []*tandemv1.QuotaLimit{{Resource: parts[1], Limit: limit, Consumed: consumed}},
		})
	}
	return w
}
