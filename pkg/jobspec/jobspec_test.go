package jobspec_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files of problems")

// TestGoldenProblems parses every file of testdata that is named bad-*, and
// compares all that is said about it with the .problems file beside it.
func TestGoldenProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/bad-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".problems") {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			job, err := jobspec.Parse(filepath.Base(file), src)
			if err == nil {
				t.Fatalf("was accepted as %v", job)
			}
			got := err.Error() + "\n"
			golden := file + ".problems"
			if *rewrite {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("problems differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOneProblem has sources with one mistake each.
func TestOneProblem(t *testing.T) {
	const ok = "id: /words\nworkloads:\n- name: count\n  cmd: wc -w\n"
	for _, tt := range []struct{ name, src, want string }{
		{"an empty file", "", "job.yaml: the file is empty; a job needs at least an id and one workload"},
		{"comments only", "# later\n", "job.yaml: the file is empty; a job needs at least an id and one workload"},
		{"a list", "- a\n", `job.yaml:1:1: the file holds a list; a job is a mapping of keys such as id, type and workloads`},
		{"text", "hello\n", `job.yaml:1:1: the file holds the text "hello"; a job is a mapping of keys such as id, type and workloads`},
		{"two documents", ok + "---\nid: /other\n", "job.yaml:5:1: a second document starts here; a file holds one job"},
		{"a tab", "id: /words\nworkloads:\n\t- name: count\n", "job.yaml:3:1: the line is indented with a tab; YAML is indented with spaces"},
		{"a colon in text", "id: /words\nuser: a: b\n", `job.yaml:2:8: a ":" is not expected here; check the indentation, and put text that holds ": " in quotes`},
		{"an at sign", "id: @words\n", `job.yaml:1:5: a value cannot start with '@'; put it in quotes`},
		{"an open bracket", "id: [1,\n", `job.yaml:2:1: not YAML: did not find expected node content while parsing a flow node`},
		{"not UTF-8", "id: /w\xff\n", "job.yaml:1:7: the byte 0xff is not UTF-8 text"},
		{"a control character", "id: /words\nuser: \"\x00\"\n", "job.yaml:2:8: the control character 0x00 does not belong in a job file"},
		{"an unknown anchor", "id: *nope\n", "job.yaml:1:5: not YAML: unknown anchor 'nope' referenced"},
		{"a repeated key", ok + "id: /other\n", "job.yaml:5:1: id: the key is repeated; it stands in line 1 already"},
		{"a merge key", ok + "labels: {<<: {a: b}}\n", "job.yaml:5:10: labels.<<: merge keys are not supported; write the keys out, or use an alias for the whole value"},
		{"a near key", ok + "  resources: {cpu: 1}\n", `job.yaml:5:15: workloads[0].resources.cpu: unknown key; did you mean "cpus"?`},
		{"a far key", ok + "  kill: {wait: 1}\n", "job.yaml:5:10: workloads[0].kill.wait: unknown key; here are known: signal, gracePeriod, preStopHttp, preStopCommand"},
		{"far keys twice", ok + "  kill: {wait: 1, away: 2}\n", "job.yaml:5:10: workloads[0].kill.wait: unknown key; here are known: signal, gracePeriod, preStopHttp, preStopCommand\njob.yaml:5:19: workloads[0].kill.away: unknown key"},
		{"two keys in one", ok + "  killGracePeriod: 3s\n", `job.yaml:5:3: workloads[0].killGracePeriod: unknown key; did you mean "kill.gracePeriod"?`},
		{"two hooks before the end", ok + "  ports: [{name: http}]\n  kill: {preStopHttp: {}, preStopCommand: {cmd: bye}}\n", "job.yaml:6:27: workloads[0].kill.preStopCommand: cannot be given beside preStopHttp; let one do both"},
		{"an empty hook before the end", ok + "  kill: {preStopCommand: {}}\n", "job.yaml:5:10: workloads[0].kill.preStopCommand.cmd: is required: a command line for the shell"},
		{"a key in another case", ok + "  healthcheck: {tcp: {}}\n", `job.yaml:5:3: workloads[0].healthcheck: unknown key; did you mean "healthCheck"?`},
		{"no value", ok + "labels:\n", "job.yaml:5:1: labels: has no value; give it one, or remove the key"},
		{"a word for a list", ok + "constraints: rack\n", `job.yaml:5:14: constraints: is the text "rack"; a list is asked for`},
		{"a list for a word", ok + "user: [a]\n", "job.yaml:5:7: user: is a list; text is asked for"},
		{"an enum's word", ok + "type: Bacth\n", `job.yaml:5:7: type: "Bacth" is not one of service, batch, cron, daemon; did you mean "batch"?`},
		{"text for a number", ok + "instances: \"3\"\n", `job.yaml:5:12: instances: "3" is text; write a whole number without quotes`},
		{"a fraction for a whole number", ok + "instances: 1.5\n", `job.yaml:5:12: instances: "1.5" is not a whole number`},
		{"too many", ok + "instances: 4294967296\n", `job.yaml:5:12: instances: 4294967296 is too large`},
		{"too many for a job", ok + "instances: 200000\n", `job.yaml:5:1: instances: must be at most 100000`},
		{"yes", ok + "  essential: yes\n", `job.yaml:5:14: workloads[0].essential: "yes" is not true or false; did you mean "true"?`},
		{"zero where there is a default", ok + "  resources: {cpus: 0}\n", "job.yaml:5:21: workloads[0].resources.cpus: must be more than 0"},
		{"a duration without a unit", ok + "restart: {delay: 10}\n", `job.yaml:5:18: restart.delay: "10" has no unit; did you mean "10s"?`},
		{"days", ok + "restart: {interval: 1d}\n", `job.yaml:5:21: restart.interval: a day is no unit, since days differ in length where clocks change; did you mean "24h"?`},
		{"a negative duration", ok + "restart: {delay: -1s}\n", `job.yaml:5:18: restart.delay: must not be negative`},
		{"no restarts of a workload", ok + "  restart: {attempts: 0}\n", `job.yaml:5:13: workloads[0].restart.attempts: must be from 1 to 1000; leave restart out for none`},
		{"a restart that comes ever sooner", ok + "  restart: {factor: 0.5}\n", `job.yaml:5:13: workloads[0].restart.factor: must be at least 1`},
		{"no duration", ok + "restart: {delay: soon}\n", `job.yaml:5:18: restart.delay: "soon" is not a duration such as 10s, 1m30s or 2h`},
		{"a decimal size", ok + "  resources: {mem: 256MB}\n", `job.yaml:5:20: workloads[0].resources.mem: "256MB" is not a size such as 256Mi, 1Gi or 512Ki; a bare number is MiB; did you mean "256Mi"?`},
		{"a size of no limit", ok + "  limits: {mem: unlimited}\n", `job.yaml:5:17: workloads[0].limits.mem: cannot be lifted; give a size such as 256Mi`},
		{"finer than thousandths", ok + "  resources: {cpus: 0.12345}\n", `job.yaml:5:15: workloads[0].resources.cpus: Mesos counts in thousandths, and 0.12345 is finer; did you mean "0.123"?`},
		{"finer than any thousandth", ok + "  resources: {cpus: 0.0004}\n", `job.yaml:5:15: workloads[0].resources.cpus: Mesos counts in thousandths, and 0.0004 is finer; did you mean "0.001"?`},
		{"a limit below its request", ok + "  resources: {mem: 64}\n  limits: {mem: 32}\n", "job.yaml:6:12: workloads[0].limits.mem: must be at least resources.mem, 64 MiB"},
		{"half a tuple", ok + "constraints: [[rack]]\n", `job.yaml:5:15: constraints[0]: has one part; a constraint is ["attribute", "OPERATOR"] or ["attribute", "OPERATOR", "value"]`},
		{"a wrong operator", ok + "constraints: [[rack, GROUPBY]]\n", `job.yaml:5:22: constraints[0].operator: "GROUPBY" is not one of UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER, IS; did you mean "GROUP_BY"?`},
		{"a wrong pattern", ok + "constraints: [[rack, LIKE, '(']]\n", `job.yaml:5:28: constraints[0].value: "(" is no regular expression: missing closing ): ` + "`(`"},
		{"a bare host name", ok + "constraints: [[hostname, UNIQUE]]\n", `job.yaml:5:16: constraints[0].attribute: an agent's host name is no attribute; did you mean "@hostname"?`},
		{"both kinds of command", ok + "  args: [wc]\n", "job.yaml:5:3: workloads[0].args: cannot stand beside cmd; give one of them"},
		{"two kinds of check", ok + "  ports: [{name: http}]\n  healthCheck: {tcp: {}, http: {}}\n", "job.yaml:6:26: workloads[0].healthCheck.http: cannot stand beside tcp; give one of them"},
		{"an unknown port", ok + "  ports: [{name: http}]\n  healthCheck: {tcp: {port: htp}}\n", `job.yaml:6:23: workloads[0].healthCheck.tcp.port: the workload has no port "htp", only http; did you mean "http"?`},
		{"a check without ports", ok + "  healthCheck: {tcp: {}}\n", "job.yaml:5:17: workloads[0].healthCheck.tcp.port: the workload has no ports; name one under its ports"},
		{"a reserved variable", ok + "  env: {PORT0: 1}\n", "job.yaml:5:9: workloads[0].env.PORT0: the name is set by the system; names that start with MESOS_, LIBPROCESS_, TANDEM_ or PORT_, and PORT0-like ones, are taken"},
		{"a signal without SIG", ok + "  kill: {signal: term}\n", `job.yaml:5:10: workloads[0].kill.signal: "term" is no signal's name; did you mean "SIGTERM"?`},
		{"a scheme", ok + "  fetch: [{uri: 's3://bucket/app.tgz'}]\n", `job.yaml:5:12: workloads[0].fetch[0].uri: the scheme "s3" is not supported; http, https, file or an absolute path is asked for`},
		{"half of an uploaded file's name", ok + "  fetch: [{uri: 'artifact:///app.tgz'}]\n", `job.yaml:5:12: workloads[0].fetch[0].uri: an uploaded file's URI is artifact:///, its SHA-256, a slash and its name`},
		{"a way out of the sandbox", ok + "  fetch: [{uri: app.tgz, destPath: ../app}]\n", `job.yaml:5:26: workloads[0].fetch[0].destPath: "../app" leads out of the sandbox; a relative path below it is asked for`},
		{"another's key of OCI", ok + "  linux: {resources: {memory: {limits: 1}}}\n", `job.yaml:5:32: workloads[0].linux.resources.memory.limits: unknown key of OCI's LinuxMemory; did you mean "limit"?`},
		{"another's type of OCI", ok + "  linux: {resources: {cpu: {shares: -2}}}\n", `job.yaml:5:29: workloads[0].linux.resources.cpu.shares: must not be negative`},
		{"an unknown key of a process", ok + "  linux: {process: {noNewPrivilege: true}}\n", `job.yaml:5:21: workloads[0].linux.process.noNewPrivilege: unknown key of OCI's Process; did you mean "noNewPrivileges"?`},
		{"a namespace that cannot be its own", ok + "  linux: {namespaces: [{type: user}]}\n", `job.yaml:5:25: workloads[0].linux.namespaces[0].type: is "user"; a workload can have its own pid, mount, ipc and uts`},
		{"a read-only root of everybody", ok + "  linux: {root: {readonly: true}}\n", `job.yaml:5:18: workloads[0].linux.root.readonly: needs a mount namespace; add {type: mount} to linux.namespaces`},
		{"a root elsewhere", ok + "  linux: {root: {path: /opt/root}, namespaces: [{type: mount}]}\n", `job.yaml:5:18: workloads[0].linux.root.path: is "/opt/root"; it must be a directory that fetch brings into the workload's own, such as rootfs`},
		{"a root without a mount namespace", ok + "  linux: {root: {path: rootfs}}\n", `job.yaml:5:18: workloads[0].linux.root.path: needs a mount namespace; add {type: mount} to linux.namespaces`},
		{"a root that is not unpacked", ok + "  fetch: [{uri: /opt/root.tar, rootfs: true, extract: false}]\n", `job.yaml:5:32: workloads[0].fetch[0].rootfs: takes an archive that is unpacked`},
		{"a root that is no archive", ok + "  fetch: [{uri: /opt/root.zip, rootfs: true}]\n", `job.yaml:5:11: workloads[0].fetch[0].destPath: "root.zip" is no tar archive by its name, which is how a root file system comes; call it rootfs/root.tar.gz, say`},
		{"a bundle elsewhere", ok + "  linux: {bundle: ../app}\n", `job.yaml:5:11: workloads[0].linux.bundle: is "../app"; it must be a directory that fetch brings into the workload's own, such as bundle`},
		{"a bundle with another root", ok + "  linux: {bundle: app, root: {path: rootfs}}\n", `job.yaml:5:31: workloads[0].linux.root.path: stands beside a bundle, which has its root by itself; leave one of them out`},
		{"a root that is the directory itself", ok + "  linux: {root: {path: .}, namespaces: [{type: mount}]}\n", `job.yaml:5:18: workloads[0].linux.root.path: is the workload's own directory; have fetch bring it into one below, such as rootfs`},
		{"seccomp without a root", ok + "  linux: {seccomp: {defaultAction: SCMP_ACT_ERRNO}}\n", `job.yaml:5:11: workloads[0].linux.seccomp: needs a root file system of its own, root.path or bundle: an OCI runtime puts it in force`},
		{"an unknown key of seccomp", ok + "  linux: {bundle: app, seccomp: {defaultActions: SCMP_ACT_ERRNO}}\n", `job.yaml:5:34: workloads[0].linux.seccomp.defaultActions: unknown key of OCI's LinuxSeccomp; did you mean "defaultAction"?`},
		{"a soft limit above the hard one", ok + "  linux: {process: {rlimits: [{type: RLIMIT_CORE, soft: -1, hard: 5}]}}\n", `job.yaml:5:51: workloads[0].linux.process.rlimits[0].soft: is above hard`},
		{"no id", "workloads: [{name: count, cmd: wc}]\n", "job.yaml:1:1: id: is required: a path such as /payments/api"},
		{"an id without a slash", strings.Replace(ok, "/words", "words", 1), `job.yaml:1:1: id: must start with a slash; did you mean "/words"?`},
		{"an id in capitals", strings.Replace(ok, "/words", "/My_words", 1), `job.yaml:1:1: id: "My_words" has other characters than lower-case letters, digits and hyphens; did you mean "/my-words"?`},
		{"no workloads", "id: /words\n", "job.yaml:1:1: workloads: is required: at least one program to run"},
		{"no command", "id: /words\nworkloads: [{name: count}]\n", "job.yaml:2:13: workloads[0]: has neither cmd nor args; give one: a command line for the shell, or a program with its arguments"},
		{"an update of a batch", ok + "type: batch\nupdate: {maxParallel: 2}\n", "job.yaml:6:1: update: is for services and daemons only"},
		{"a batch that is kept even", ok + "type: batch\nrebalance: {}\n", "job.yaml:6:1: rebalance: is for services only"},
		{"nothing to keep even", ok + "constraints: [[\"@hostname\", \"UNIQUE\"]]\nrebalance: {}\n", `job.yaml:6:1: rebalance: needs a GROUP_BY constraint, such as ["rack", "GROUP_BY"]: that says what is to be even`},
		{"looks that are too frequent", ok + "constraints: [[rack, GROUP_BY]]\nrebalance: {interval: 10s}\n", "job.yaml:6:13: rebalance.interval: must be at least 1m0s"},
		{"a schedule of a service", ok + "schedule: {cron: '* * * * *'}\n", "job.yaml:5:1: schedule: is for jobs of type cron only"},
		{"names that differ in one instance", ok + "- name: count\n  cmd: wc\n", `job.yaml:5:3: workloads[1].name: "count" is taken by workloads[0].name`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := jobspec.Parse("job.yaml", []byte(tt.src))
			if err == nil {
				t.Fatalf("was accepted; want %s", tt.want)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("problems differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHugeFileIsRefused(t *testing.T) {
	src := "id: /words\n# " + strings.Repeat("x", jobspec.MaxSize)
	if _, err := jobspec.Parse("job.yaml", []byte(src)); err == nil || !strings.Contains(err.Error(), "a job file may have 1048576") {
		t.Errorf("got %v", err)
	}
}

func TestAliasesThatMultiplyAreRefused(t *testing.T) {
	src := "id: /words\nworkloads:\n- name: count\n  cmd: wc\n  linux:\n    resources:\n      a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for _, c := range "bcdefgh" {
		before := string(c - 1)
		src += "      " + string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+before+", ", 9) + "*" + before + "]\n"
	}
	_, err := jobspec.Parse("job.yaml", []byte(src))
	if err == nil || !strings.Contains(err.Error(), "the file's aliases unfold to more than 100000 values") {
		t.Errorf("got %v", err)
	}
	loop := "id: /words\nworkloads:\n- name: count\n  cmd: wc\n  linux: {resources: {a: &a [*a]}}\n"
	if _, err := jobspec.Parse("job.yaml", []byte(loop)); err == nil || !strings.Contains(err.Error(), "nested too deeply") {
		t.Errorf("got %v", err)
	}
}

func TestShortForms(t *testing.T) {
	job := parse(t, "testdata/good-full.yaml")
	w := job.Workloads[0]
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"a tuple", job.Constraints[1], &tandemv1.Constraint{Attribute: "rack", Operator: tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_GROUP_BY, Value: "3"}},
		{"a duration", job.Restart.Interval, durationpb.New(90 * time.Second)},
		{"a size in Mi", w.Resources.Mem, 256.0},
		{"a size in Gi", w.Resources.Disk, 1024.0},
		{"a size in Ki", w.Limits.GetSwap(), 0.5},
		{"a bare size", w.Limits.GetMem(), 320.0},
		{"plain text in env", w.Env["MODE"].GetValue(), "production"},
		{"a number in env", w.Env["WORKERS"].GetValue(), "4"},
		{"a boolean in env", w.Env["VERBOSE"].GetValue(), "true"},
		{"a number in args", job.Workloads[1].Args, []string{"/bin/sleep", "3600"}},
		{"an alias", job.Workloads[1].Env["MODE"].GetValue(), "production"},
		{"a number of OCI", w.Linux.Resources.Fields["cpu"].GetStructValue().Fields["shares"].GetNumberValue(), 512.0},
	} {
		if diff := cmp.Diff(tt.want, tt.got, protocmp.Transform()); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestDefaults(t *testing.T) {
	job := parse(t, "testdata/good-short.yaml")
	got, err := jobspec.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/good-short.defaults.json"
	if *rewrite {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("defaults differ (-want +got):\n%s", diff)
	}
	again := proto.CloneOf(job)
	jobspec.Default(again)
	if diff := cmp.Diff(job, again, protocmp.Transform()); diff != "" {
		t.Errorf("defaulting again changes (-once +twice):\n%s", diff)
	}
}

func TestRelativeURIsAreForWhoeverUploads(t *testing.T) {
	job := parse(t, "testdata/good-short.yaml")
	local := jobspec.LocalFiles(job)
	if len(local) != 1 || local[0].Uri != "corpus/words.txt.gz" {
		t.Fatalf("local files: %v", local)
	}
	if problems := jobspec.Validate(job); len(problems) != 1 || problems[0].Field != "workloads[0].fetch[0].uri" {
		t.Errorf("with a relative URI: %v", problems)
	}
	local[0].Uri = "http://127.0.0.1:7070/words.txt.gz"
	if problems := jobspec.Validate(job); len(problems) != 0 {
		t.Errorf("with an address: %v", problems)
	}
}

// TestValidateTakesAnyMessage sees that a Job that no file could hold is judged
// without a panic: it comes from the network.
func TestValidateTakesAnyMessage(t *testing.T) {
	for _, text := range []string{
		`{}`,
		`{"workloads":[{}]}`,
		`{"workloads":[{"args":[""],"healthCheck":{},"kill":{"preStopHttp":{}},"logs":{"maxFiles":-1}}]}`,
		`{"restart":{"factor":"NaN"},"executor":{"resources":{"cpus":"Infinity"}}}`,
		`{"type":99,"constraints":[{"operator":99}],"prefer":[{"operator":99}]}`,
		`{"workloads":[{"linux":{"resources":{"cpu":null,"devices":[null],"pids":{"limit":1e300}}}}]}`,
		`{"workloads":[{"env":{"A":{}}}]}`,
	} {
		job := &tandemv1.Job{}
		if err := protojson.Unmarshal([]byte(text), job); err != nil {
			t.Fatal(err)
		}
		jobspec.Default(job)
		if problems := jobspec.Validate(job); len(problems) == 0 {
			t.Errorf("accepted: %s", text)
		}
	}
}

func TestJSON(t *testing.T) {
	src := "{\n\t\"id\": \"/words\",\n\t\"workloads\": [\n\t\t{\"name\": \"count\", \"cmd\": \"echo \\ud83d\\ude00 \\/\"}\n\t]\n}\n"
	job, err := jobspec.Parse("job.json", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if got := job.Workloads[0].Cmd; got != "echo 😀 /" {
		t.Errorf("cmd = %q", got)
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		job, err := jobspec.Parse("job.yaml", src)
		if err != nil {
			var problems jobspec.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("a refusal that is no Problems: %v", err)
			}
			for _, p := range problems {
				if line := p.String(); strings.Contains(line, "\n") || p.Reason == "" {
					t.Errorf("not one line with a reason: %q", line)
				}
			}
			return
		}
		text, err := jobspec.Marshal(job)
		if err != nil {
			t.Fatalf("cannot be written: %v", err)
		}
		again, err := jobspec.Parse("again.json", text)
		if err != nil {
			t.Fatalf("what was written is refused: %v\n%s", err, text)
		}
		if diff := cmp.Diff(job, again, protocmp.Transform()); diff != "" {
			t.Errorf("differs when written and read again (-first +second):\n%s", diff)
		}
	})
}

func parse(t *testing.T, file string) *tandemv1.Job {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	job, err := jobspec.Parse(filepath.Base(file), src)
	if err != nil {
		t.Fatalf("refused:\n%v", err)
	}
	return job
}
