package core_test

import (
	"math"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

func TestLimitsOfAContainer(t *testing.T) {
	limited := func(id string, limits map[string]mesos.Value_Scalar) mesos.TaskInfo {
		ti := task(id)
		ti.Limits = limits
		return ti
	}
	bounds := func(cpus, mem float64) map[string]mesos.Value_Scalar {
		return map[string]mesos.Value_Scalar{"cpus": {Value: cpus}, "mem": {Value: mem}}
	}
	for _, c := range []struct {
		name  string
		cfs   bool
		tasks []mesos.TaskInfo
		want  core.Limits
	}{
		{"requests add up", false, []mesos.TaskInfo{task("a"), task("b")},
			core.Limits{CPUs: 0.4, MemMB: 128}},
		{"a bound counts with the executor's request", false, []mesos.TaskInfo{limited("a", bounds(2, 256))},
			core.Limits{CPUs: 0.3, MemMB: 96, CPULimit: core.Bound{Set: true, Value: 2.2}, MemLimit: core.Bound{Set: true, Value: 320}}},
		{"a task without a CPU bound lifts that of the others", false, []mesos.TaskInfo{limited("a", bounds(2, 256)), task("b")},
			core.Limits{CPUs: 0.4, MemMB: 128, MemLimit: core.Bound{Set: true, Value: 352}}},
		{"unless requests are bounds anyway", true, []mesos.TaskInfo{limited("a", bounds(2, 256)), task("b")},
			core.Limits{CPUs: 0.4, MemMB: 128, CPULimit: core.Bound{Set: true, Value: 2.3}, MemLimit: core.Bound{Set: true, Value: 352}}},
		{"no bound at all", false, []mesos.TaskInfo{limited("a", bounds(math.Inf(1), math.Inf(1)))},
			core.Limits{CPUs: 0.3, MemMB: 96, CPULimit: core.Bound{Set: true, Value: math.Inf(1)}, MemLimit: core.Bound{Set: true, Value: math.Inf(1)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, func(config *core.Config) { config.CFS = c.cfs })
			s.RunTaskGroup(framework(), executorInfo(), mesos.TaskGroupInfo{Tasks: c.tasks}, !s.has(execID))
			launch, ok := s.Effects()[0].(core.Launch)
			if !ok || launch.Limits != c.want {
				t.Errorf("limits %+v, want %+v", launch.Limits, c.want)
			}
		})
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0ns", 5 * time.Second: "5secs", 15 * time.Minute: "15mins", 90 * time.Second: "90secs",
		7 * 24 * time.Hour: "1weeks", 1500 * time.Millisecond: "1500ms", time.Hour: "1hrs",
	} {
		if got := core.FormatDuration(d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}
