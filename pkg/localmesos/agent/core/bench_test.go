package core_test

import (
	"fmt"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// BenchmarkGroup is the life of a large group in one executor: its cost a task
// must not grow with the group.
func BenchmarkGroup(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("%d tasks", n), func(b *testing.B) {
			ids := make([]string, n)
			for i := range ids {
				ids[i] = fmt.Sprintf("t%d", i)
			}
			for b.Loop() {
				s := newScript(b, nil)
				s.runGroup(ids...)
				s.Launched("c1", 1)
				s.subscribe(1)
				s.Limited(s.now, "c1", nil)
				for _, id := range ids {
					s.update(id, id+"-running", mesos.TASK_RUNNING)
					s.Acknowledge(s.now, frameworkID, mesos.TaskID{Value: id}, []byte(id+"-running"))
					s.update(id, id+"-finished", mesos.TASK_FINISHED)
					s.Limited(s.now, "c1", nil)
					s.Acknowledge(s.now, frameworkID, mesos.TaskID{Value: id}, []byte(id+"-finished"))
					s.Effects()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/task")
		})
	}
}
