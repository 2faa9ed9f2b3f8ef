package master

import (
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

func TestAGroupRunsToItsEnd(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		w.expect(s.transcript(), `OFFERS O0 S0 example ports:31000-32000,cpus:8,mem:8192,disk:20000`)

		s.must(accept("O0", s.group(a, "exec-1", "t1", "t2")))
		w.expect(a.heard(), `run group t1,t2 with exec-1`)
		w.pass(time.Second)
		w.expect(s.transcript(), `OFFERS O1 S0 example ports:31000-32000,cpus:7.6,mem:8064,disk:19948 +exec-1`)

		a.update(s, "t1", "exec-1", mesos.TASK_RUNNING, 1)
		w.expect(s.transcript(), `UPDATE t1 TASK_RUNNING SOURCE_EXECUTOR agent_id=S0 executor_id=exec-1 uuid container_status`)
		s.acknowledge(a, "t1", 1)
		w.expect(a.heard(), `acknowledged t1 1`)

		a.update(s, "t1", "exec-1", mesos.TASK_FINISHED, 2)
		w.pass(time.Second)
		w.expect(s.transcript(), `
			UPDATE t1 TASK_FINISHED SOURCE_EXECUTOR agent_id=S0 executor_id=exec-1 uuid container_status
			OFFERS O2 S0 example cpus:0.1,mem:32,disk:10 +exec-1`)
		s.acknowledge(a, "t1", 2)

		a.update(s, "t2", "exec-1", mesos.TASK_FINISHED, 3)
		s.acknowledge(a, "t2", 3)
		w.m.ExitedExecutor(a.id, mesos.FrameworkID{Value: s.id}, mesos.ExecutorID{Value: "exec-1"}, 256)
		w.expect(s.transcript(), `
			UPDATE t2 TASK_FINISHED SOURCE_EXECUTOR agent_id=S0 executor_id=exec-1 uuid container_status
			FAILURE S0 exec-1 256`)
		w.pass(time.Second)
		w.expect(s.transcript(), `OFFERS O3 S0 example cpus:0.3,mem:96,disk:42`)

		s.must(`"type":"TEARDOWN"`)
		if !s.closed() {
			t.Error("the stream outlives its framework")
		}
	})
}

// TestTasksMayLeaveOutTheTypeOfTheirHealthCheck: those of a group may not.
func TestTasksMayLeaveOutTheTypeOfTheirHealthCheck(t *testing.T) {
	const command, http = `"command":{"value":"true"}`, `"http":{"port":80}`
	for _, c := range []struct{ check, want string }{
		{command, ""},
		{http, ""},
		{`"tcp":{"port":80}`, "Task uses invalid health check: HealthCheck must specify 'type'"},
		{command + "," + http, "Task uses invalid health check: HealthCheck must specify 'type'"},
	} {
		inWorld(t, Options{}, func(w *world) {
			a := w.agent("127.0.0.1")
			s := w.subscribe(exampleInfo)
			s.transcript()
			s.must(accept("O0", `{"type":"LAUNCH","launch":{"task_infos":[{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"`+a.id.Value+
				`"},"command":{"value":"x"},"health_check":{`+c.check+`},"resources":[`+resourcesOf(0.1, 32, 10)+`]}]}}`))
			heard, told := "run t", ""
			if c.want != "" {
				heard, told = "", "UPDATE t TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID "+c.want+" agent_id=S0"
			}
			w.expect(a.heard(), heard)
			w.expect(s.transcript(), told)
		})
	}
}
