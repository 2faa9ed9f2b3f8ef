package master

import (
	"fmt"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// TestInvalidGroups changes one thing of a good group at a time. Everything
// that is wrong is told asynchronously, to every task of the group.
func TestInvalidGroups(t *testing.T) {
	const framework = masterID + "-0000"
	long := strings.Repeat("x", 256)
	// From the executor's resources to the task's.
	const between = `]},"task_group":{"tasks":[{"name":"task t1","task_id":{"value":"t1"},"agent_id":{"value":"%A"},"resources":[`
	for _, tt := range []struct {
		name, old, with string // in the operation; %F is the framework, %A the agent
		want            string // the message; empty for a group that is launched
	}{
		{"as it is", ``, ``, ``},

		{"executor without type", `"type":"CUSTOM",`, ``, `'ExecutorInfo.type' must be set`},
		{"executor of type UNKNOWN", `"CUSTOM"`, `"UNKNOWN"`, `Unknown executor type`},
		{"executor of a type that is none", `"CUSTOM"`, `"BOGUS"`, `'ExecutorInfo.type' must be set`},
		{"executor without command", `"command":{"value":"./example-executor"},"resources"`, `"resources"`, `'ExecutorInfo.command' must be set for 'CUSTOM' executor`},
		{"executor with an empty command", `{"value":"./example-executor"}`, `{}`, ``},
		{"default executor with command", `"CUSTOM"`, `"DEFAULT"`, `'ExecutorInfo.command' must not be set for 'DEFAULT' executor`},
		{"no framework id", `"framework_id":{"value":"%F"},`, ``, `'ExecutorInfo.framework_id' must be set`},
		{"another framework's id", `"framework_id":{"value":"%F"}`, `"framework_id":{"value":"other"}`, `ExecutorInfo has an invalid FrameworkID (Actual: other vs Expected: ` + framework + `)`},
		{"empty executor id", `"exec-1"`, `""`, `ID must not be empty`},
		{"executor id with a slash", `"exec-1"`, `"a/b"`, `'a/b' contains invalid characters`},
		{"executor id ..", `"exec-1"`, `".."`, `'..' is disallowed`},
		{"long executor id", `exec-1`, long, `ID must not be greater than 255 characters`},
		{"executor without resources", `[` + resourcesOf(0.2, 64, 32) + `]`, `[]`, `Executor 'exec-1' uses less CPUs (None) than the minimum required (0.01)`},
		{"executor with few cpus", resourcesOf(0.2, 64, 32), resourcesOf(0.001, 64, 32), `Executor 'exec-1' uses less CPUs (0.001) than the minimum required (0.01)`},
		{"executor with little memory", resourcesOf(0.2, 64, 32), resourcesOf(0.2, 16, 32), `Executor 'exec-1' uses less memory (16MB) than the minimum required (32MB)`},
		{"executor without disk", resourcesOf(0.2, 64, 32), resourcesOf(0.2, 64, 0), `Executor 'exec-1' uses no disk`},
		{"negative grace period", `"type":"CUSTOM",`, `"type":"CUSTOM","shutdown_grace_period":{"nanoseconds":-1},`, `ExecutorInfo's 'shutdown_grace_period' must be non-negative`},
		{"executor in a Docker container", `"type":"CUSTOM",`, `"type":"CUSTOM","container":{"type":"DOCKER"},`, "Executor's `ContainerInfo` is invalid: DockerInfo 'docker' is not set for DOCKER typed ContainerInfo"},
		{"executor's secret is missing", `"./example-executor"`, `"x","environment":{"variables":[{"name":"X","type":"SECRET"}]}`, "Executor's `CommandInfo` is invalid: Environment variable 'X' of type 'SECRET' must have a secret set"},
		{"executor's variable has no value", `"./example-executor"`, `"x","environment":{"variables":[{"name":"X"}]}`, "Executor's `CommandInfo` is invalid: Environment variable 'X' of type 'VALUE' must have a value set"},
		{"executor shares cgroups", `"type":"CUSTOM",`, `"type":"CUSTOM","container":{"type":"MESOS","linux_info":{"share_cgroups":true}},`, `The 'share_cgroups' field cannot be set to 'true' on executor containers`},

		{"task without resources", `[` + resourcesOf(0.1, 32, 10) + `]`, `[]`, `Task 't1' is invalid: Task uses no resources`},
		{"task of nothing", resourcesOf(0.1, 32, 10), `{"name":"cpus","type":"SCALAR","scalar":{"value":0}}`, ``},
		{"task with little of all", resourcesOf(0.1, 32, 10), resourcesOf(0.001, 1, 1), ``},
		{"negative cpus", resourcesOf(0.1, 32, 10), `{"name":"cpus","type":"SCALAR","scalar":{"value":-1},"allocation_info":{"role":"example"}}`, `Resource 'cpus(allocated: example):-1' is invalid: Invalid scalar resource: value <= 0`},
		{"wrong value type", resourcesOf(0.1, 32, 10), `{"name":"cpus","type":"RANGES","scalar":{"value":1}}`, `Resource 'cpus:[]' is invalid: Invalid ranges resource`},
		{"half a GPU", resourcesOf(0.1, 32, 10), `{"name":"gpus","type":"SCALAR","scalar":{"value":0.5}}`, `Task 't1' is invalid: Task uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer`},
		{"role in the old field", resourcesOf(0.1, 32, 10), `{"name":"cpus","type":"SCALAR","scalar":{"value":1},"role":"*"}`, ``},
		{"too many cpus", resourcesOf(0.1, 32, 10), resourcesOf(9, 32, 10), `Total resources cpus(allocated: example):9.2; mem(allocated: example):96; disk(allocated: example):42 required by task group and its executor are more than available ports(allocated: example):[31000-32000]; cpus(allocated: example):8; mem(allocated: example):8192; disk(allocated: example):20000`},
		{"a resource that is not offered", resourcesOf(0.1, 32, 10), `{"name":"widgets","type":"SCALAR","scalar":{"value":1}}`, `Total resources widgets(allocated: example):1; cpus(allocated: example):0.2; mem(allocated: example):64; disk(allocated: example):32 required by task group and its executor are more than available ports(allocated: example):[31000-32000]; cpus(allocated: example):8; mem(allocated: example):8192; disk(allocated: example):20000`},
		{"another role", resourcesOf(0.1, 32, 10), `{"name":"cpus","type":"SCALAR","scalar":{"value":1},"allocation_info":{"role":"other"}}`, `Total resources cpus(allocated: other):1; cpus(allocated: example):0.2; mem(allocated: example):64; disk(allocated: example):32 required by task group and its executor are more than available ports(allocated: example):[31000-32000]; cpus(allocated: example):8; mem(allocated: example):8192; disk(allocated: example):20000`},
		{"two roles", resourcesOf(0.1, 32, 10), resourcesOf(0.1, 32, 10) + `,{"name":"cpus","type":"SCALAR","scalar":{"value":1},"allocation_info":{"role":"other"}}`, `Task 't1' is invalid: Invalid task resources: The resources have multiple allocation roles ('other' and 'example') but only one allocation role is allowed`},

		{"revocable beside its executor's that is not", resourcesOf(0.1, 32, 10), `{"name":"cpus","type":"SCALAR","scalar":{"value":1},"revocable":{}}`, `Task group and executor mix revocable and non-revocable resources: Cannot use both revocable and non-revocable 'cpus' at the same time`},
		{"a volume of both", resourcesOf(0.2, 64, 32) + between + resourcesOf(0.1, 32, 10), resourcesOf(0.2, 64, 32) + volume("v", "") + between + resourcesOf(0.1, 32, 10) + volume("v", ""), `Task group and executor use duplicate persistence ID: Persistence ID 'v' is not unique`},

		{"empty task id", `"task_id":{"value":"t1"}`, `"task_id":{"value":""}`, `Task '' is invalid: ID must not be empty`},
		{"task id with a backslash", `"task_id":{"value":"t1"}`, `"task_id":{"value":"a\\b"}`, `Task 'a\b' is invalid: 'a\b' contains invalid characters`},
		{"task id with a space", `"task_id":{"value":"t1"}`, `"task_id":{"value":"a b"}`, ``},
		{"long task id", `"task_id":{"value":"t1"}`, `"task_id":{"value":"` + long + `"}`, `Task '` + long + `' is invalid: ID must not be greater than 255 characters`},
		{"wrong agent", `"agent_id":{"value":"%A"},"resources"`, `"agent_id":{"value":"elsewhere"},"resources"`, `Task 't1' is invalid: Task uses invalid agent elsewhere while agent ` + masterID + `-S0 is expected`},
		{"operation with an id", `"launch_group"`, `"id":{"value":"op"},"launch_group"`, "The `id` field cannot be set on LAUNCH_GROUP operations"},

		{"own executor, the same", `"name":"task t1",`, `"name":"task t1","executor":{%E},`, ``},
		{"own executor, another", `"name":"task t1",`, `"name":"task t1","executor":{"executor_id":{"value":"e"},"framework_id":{"value":"%F"}},`, "The `ExecutorInfo` of task 't1' is different from executor 'exec-1'"},
		{"limits in shared cgroups", `"name":"task t1",`, `"name":"task t1","limits":{"cpus":{"value":1}},`, `Task 't1' is invalid: Resource limits may only be set for tasks within a task group when the 'share_cgroups' field is set to 'false'.`},
		{"limits in own cgroups", `"name":"task t1",`, `"name":"task t1","limits":{"cpus":{"value":1},"mem":{"value":"Infinity"}},"container":{"type":"MESOS","linux_info":{"share_cgroups":false}},`, ``},
		{"limit below the request", `"name":"task t1",`, `"name":"task t1","limits":{"cpus":{"value":0.01}},"container":{"type":"MESOS","linux_info":{"share_cgroups":false}},`, `Task 't1' is invalid: The cpu limit must be greater than or equal to the cpu request`},
		{"limit of something else", `"name":"task t1",`, `"name":"task t1","limits":{"disk":{"value":1}},"container":{"type":"MESOS","linux_info":{"share_cgroups":false}},`, `Task 't1' is invalid: Only cpus and mem may be included in a task's resource limits`},
		{"negative kill grace", `"name":"task t1",`, `"name":"task t1","kill_policy":{"grace_period":{"nanoseconds":-1}},`, `Task 't1' is invalid: Task's 'kill_policy.grace_period' must be non-negative`},
		{"health check without type", `"name":"task t1",`, `"name":"task t1","health_check":{},`, `Task 't1' is invalid: Task uses invalid health check: HealthCheck must specify 'type'`},
		{"health check without its part", `"name":"task t1",`, `"name":"task t1","health_check":{"type":"HTTP"},`, `Task 't1' is invalid: Task uses invalid health check: Expecting 'http' to be set for HTTP health check`},
		{"health check with a bad path", `"name":"task t1",`, `"name":"task t1","health_check":{"type":"HTTP","http":{"port":1,"path":"x"}},`, `Task 't1' is invalid: Task uses invalid health check: The path 'x' of HTTP health check must start with '/'`},
		{"health check of no command", `"name":"task t1",`, `"name":"task t1","health_check":{"type":"COMMAND","command":{"shell":false}},`, `Task 't1' is invalid: Task uses invalid health check: Command health check must contain 'executable path'`},
		{"health check with negative delay", `"name":"task t1",`, `"name":"task t1","health_check":{"type":"TCP","tcp":{"port":1},"delay_seconds":-1},`, `Task 't1' is invalid: Task uses invalid health check: Expecting 'delay_seconds' to be non-negative`},
		{"check without type", `"name":"task t1",`, `"name":"task t1","check":{},`, `Task 't1' is invalid: Task uses invalid check: CheckInfo must specify 'type'`},
		{"negative completion time", `"name":"task t1",`, `"name":"task t1","max_completion_time":{"nanoseconds":-1},`, "Task 't1' is invalid: Task's `max_completion_time` must be non-negative"},
		{"task in a Docker container", `"name":"task t1",`, `"name":"task t1","container":{"type":"DOCKER","docker":{"image":"x"}},`, `Task 't1' is invalid: Docker ContainerInfo is not supported on the task`},
		{"volume from nowhere", `"name":"task t1",`, `"name":"task t1","container":{"type":"MESOS","volumes":[{"mode":"RW","container_path":"x"}]},`, "Task 't1' is invalid: Task's `ContainerInfo` is invalid: Invalid volume: Only one of them should be set: 'host_path', 'image' and 'source'"},
		{"unknown field", `"name":"task t1",`, `"name":"task t1","bogus":1,`, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				a := w.agent("127.0.0.1")
				s := w.subscribe(exampleInfo)
				s.transcript()
				fill := strings.NewReplacer("%F", s.id, "%A", a.id.Value, "%E", s.executor("exec-1")).Replace
				op := strings.Replace(s.group(a, "exec-1", "t1"), fill(tt.old), fill(tt.with), 1)
				s.must(accept("O0", op))
				if tt.want == "" {
					w.expect(s.transcript(), "")
					if heard := a.heard(); !strings.HasPrefix(heard, "run group") {
						t.Errorf("the agent heard %q", heard)
					}
					return
				}
				w.expect(a.heard(), "")
				events := s.events()
				if len(events) != 1 {
					t.Fatalf("got %s", events)
				}
				for _, want := range []string{`"state":"TASK_ERROR"`, `"source":"SOURCE_MASTER"`, `"reason":"REASON_TASK_GROUP_INVALID"`, `"message":` + quoted(tt.want)} {
					if !strings.Contains(events[0], want) {
						t.Errorf("%s\nis not in %s", want, events[0])
					}
				}
				if strings.Contains(events[0], "uuid") || strings.Contains(events[0], "executor_id") {
					t.Errorf("got %s", events[0])
				}
			})
		})
	}
}

func quoted(s string) string { return `"` + strings.ReplaceAll(s, `\`, `\\`) + `"` }

func TestSilentOperations(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		s.must(accept("O0", s.group(a, "exec-1"), `{}`, `{"type":"BOGUS"}`, `{"type":"LAUNCH_GROUP"}`, `{"type":"LAUNCH","launch":{}}`, `{"type":"CREATE","create":{}}`))
		w.expect(s.transcript(), "")
		w.expect(a.heard(), "")
	})
}

func TestAnInvalidGroupDoesNotHarmTheOthers(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		s.must(accept("O0", s.group(a, "exec-1", "t1", "t2"), s.group(a, "exec-1", "t3", "bad/id"), s.group(a, "exec-1", "t4", "t4"), s.group(a, "exec-1", "t2"), s.group(a, "exec-2", "t5")))
		w.expect(a.heard(), `
			run group t1,t2 with exec-1
			run group t5 with exec-2`)
		w.expect(s.transcript(), `
			UPDATE t3 TASK_ERROR SOURCE_MASTER REASON_TASK_GROUP_INVALID Task 'bad/id' is invalid: 'bad/id' contains invalid characters agent_id=S0
			UPDATE bad/id TASK_ERROR SOURCE_MASTER REASON_TASK_GROUP_INVALID Task 'bad/id' is invalid: 'bad/id' contains invalid characters agent_id=S0
			UPDATE t4 TASK_ERROR SOURCE_MASTER REASON_TASK_GROUP_INVALID Task 't4' is invalid: Task has duplicate ID: t4 agent_id=S0
			UPDATE t4 TASK_ERROR SOURCE_MASTER REASON_TASK_GROUP_INVALID Task 't4' is invalid: Task has duplicate ID: t4 agent_id=S0
			UPDATE t2 TASK_ERROR SOURCE_MASTER REASON_TASK_GROUP_INVALID Task 't2' is invalid: Task has duplicate ID: t2 agent_id=S0`)
	})
}

func TestASecondGroupNeedsTheSameExecutor(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		launch := func(n int, task, old, with string) string {
			s.must(accept(fmt.Sprintf("O%d", n), strings.Replace(s.group(a, "exec-1", task), old, with, 1)))
			w.pass(1e9)
			return s.transcript()
		}
		launch(0, "t1", "", "")
		a.heard()
		launch(1, "t2", `"type":"CUSTOM",`, `"type":"CUSTOM","labels":{"labels":[{"key":"k"}]},`)
		w.expect(a.heard(), "run group t2 with exec-1")
		message := strings.TrimSuffix(launch(2, "t3", "./example-executor", "./other"), "\n")
		resources := func() string {
			var b strings.Builder
			for _, r := range []struct {
				name  string
				value float64
			}{{"cpus", 0.2}, {"mem", 64}, {"disk", 32}} {
				fmt.Fprintf(&b, "resources {\n  name: %q\n  type: SCALAR\n  scalar {\n    value: %v\n  }\n  allocation_info {\n    role: \"example\"\n  }\n}\n", r.name, r.value)
			}
			return b.String()
		}()
		dump := func(command string) string {
			return "executor_id {\n  value: \"exec-1\"\n}\n" + resources + "command {\n  value: \"" + command + "\"\n}\nframework_id {\n  value: \"" + s.id + "\"\n}\ntype: CUSTOM\n"
		}
		const rule = "\n------------------------------------------------------------\n"
		want := "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID." + rule +
			"Existing ExecutorInfo:\n" + dump("./example-executor") + rule + "ExecutorInfo:\n" + dump("./other") + rule
		if !strings.Contains(message, want) {
			t.Errorf("got\n%s\nwant\n%s", message, want)
		}
	})
}

func TestPlainLaunches(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		task := func(id, rest string) string {
			return fmt.Sprintf(`{"name":"n","task_id":{"value":%q},"agent_id":{"value":%q},"resources":[%s]%s}`, id, a.id.Value, resourcesOf(0.1, 32, 10), rest)
		}
		own := strings.Replace(s.executor("own"), fmt.Sprintf(`"framework_id":{"value":%q},`, s.id), "", 1)
		s.must(accept("O0", `{"type":"LAUNCH","launch":{"task_infos":[`+strings.Join([]string{
			task("c", `,"command":{"value":"true"}`),
			task("e", `,"executor":{`+own+`}`),
			task("both", `,"command":{"value":"true"},"executor":{`+own+`}`),
			task("neither", ``),
			task("shares", `,"command":{"value":"true"},"container":{"type":"MESOS","linux_info":{"share_cgroups":false}}`),
		}, ",")+`]}}`))
		w.expect(a.heard(), "run c\nrun e")
		w.expect(s.transcript(), `
			UPDATE both TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID Task should have at least one (but not both) of CommandInfo or ExecutorInfo present agent_id=S0
			UPDATE neither TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID Task should have at least one (but not both) of CommandInfo or ExecutorInfo present agent_id=S0
			UPDATE shares TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID Only tasks in a task group may have 'share_cgroups' set to 'false' agent_id=S0`)
		w.pass(1e9)
		w.expect(s.transcript(), "OFFERS O1 S0 example ports:31000-32000,cpus:7.6,mem:8064,disk:19948 +own")
	})
}

// What a task and its executor use is looked at together, before what only tasks of a
// group may have.
func TestTasksAndTheirExecutors(t *testing.T) {
	revocable := `,{"name":"gpus","type":"SCALAR","scalar":{"value":1},"revocable":{}}`
	alone := `,"container":{"type":"MESOS","linux_info":{"share_cgroups":false}}`
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		var tasks []string
		add := func(id, own, executors, rest string) {
			executor := strings.Replace(s.executor("of-"+id), resourcesOf(0.2, 64, 32), resourcesOf(0.2, 64, 32)+executors, 1)
			tasks = append(tasks, fmt.Sprintf(`{"name":"n","task_id":{"value":%q},"agent_id":{"value":%q},"resources":[%s%s],"executor":{%s}%s}`,
				id, a.id.Value, resourcesOf(0.1, 32, 10), own, executor, rest))
		}
		add("shared", "", volume("v", `,"shared":{}`), alone)
		add("twice", volume("v", ""), volume("v", ""), alone)
		add("mixed", revocable, `,{"name":"gpus","type":"SCALAR","scalar":{"value":1}}`, alone)
		add("much", "", `,{"name":"gpus","type":"SCALAR","scalar":{"value":1}}`, alone)
		s.must(accept("O0", `{"type":"LAUNCH","launch":{"task_infos":[`+strings.Join(tasks, ",")+`]}}`))
		w.expect(a.heard(), "")
		w.expect(s.transcript(), `
			UPDATE shared TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID Executor resources cpus(allocated: example):0.2; mem(allocated: example):64; disk(allocated: example):32; disk(allocated: example)(reservations: [(DYNAMIC,example)])[v:v]<SHARED>:1<1> should not contain any shared resources agent_id=S0
			UPDATE twice TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID Task and its executor use duplicate persistence ID: Persistence ID 'v' is not unique agent_id=S0
			UPDATE mixed TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID Task and its executor mix revocable and non-revocable resources: Cannot use both revocable and non-revocable 'gpus' at the same time agent_id=S0
			UPDATE much TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID Total resources cpus(allocated: example):0.3; mem(allocated: example):96; disk(allocated: example):42; gpus(allocated: example):1 required by task and its executor is more than available ports(allocated: example):[31000-32000]; cpus(allocated: example):8; mem(allocated: example):8192; disk(allocated: example):20000 agent_id=S0`)
	})
}

// volume is a persistent volume of role example, behind other resources.
func volume(id, rest string) string {
	return fmt.Sprintf(`,{"name":"disk","type":"SCALAR","scalar":{"value":1},"reservations":[{"type":"DYNAMIC","role":"example"}],"disk":{"persistence":{"id":%q},"volume":{"mode":"RW","container_path":%[1]q}}%s}`, id, rest)
}

func TestTheAgentGetsCompleteTasks(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		s.must(accept("O0", s.group(a, "exec-1", "t1")))
		w.settle()
		task := a.last.group.Tasks[0]
		if task.Executor == nil || task.Executor.ExecutorID.Value != "exec-1" || task.Resources[0].AllocationInfo.GetRole() != "example" {
			t.Errorf("got %v", task)
		}
		if a.last.executor.Type != mesos.ExecutorInfo_CUSTOM || a.last.executor.Resources[0].AllocationInfo.GetRole() != "example" {
			t.Errorf("got %v", a.last.executor)
		}
	})
}
