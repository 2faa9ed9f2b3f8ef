package archive_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/archive"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

func some() state.Snapshot {
	spec := &tandemv1.Job{Id: "/payments/api", Instances: proto.Int32(1), Labels: map[string]string{"note": "a <b> & ü\n"}}
	return state.Snapshot{
		Framework: &tandemv1.FrameworkRecord{FrameworkId: "77a7fa47-0002"},
		Jobs:      []*tandemv1.JobRecord{{Spec: spec, Version: 2}},
		Versions:  []*tandemv1.VersionRecord{{JobId: spec.Id, Version: 1, Spec: spec}, {JobId: spec.Id, Version: 2, Spec: spec}},
		Instances: []*tandemv1.InstanceRecord{{JobId: spec.Id, Slot: 0, Attempt: 1}},
		Attempts: []*tandemv1.AttemptRecord{{JobId: spec.Id, Attempt: 1,
			Tasks: []*tandemv1.TaskRecord{{TaskId: "payments_api.0.1.web", Workload: "web"}}}},
		Requests: []*tandemv1.RequestRecord{{Caller: "token:ci", Call: "SubmitJob", Key: "deploy \"42\"", Sha256: make([]byte, 32),
			Answer: &tandemv1.RequestAnswer{Version: 2, Changed: true}}},
	}
}

func written(t *testing.T, all state.Snapshot) string {
	t.Helper()
	var b bytes.Buffer
	if err := archive.Write(&b, all); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	for name, all := range map[string]state.Snapshot{"some": some(), "nothing": {}} {
		got, err := archive.Read(strings.NewReader(written(t, all)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(all, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s comes back otherwise (-written +read):\n%s", name, diff)
		}
	}
}

// TestNoPartIsTakenForTheWhole: an archive that is cut anywhere, or has one byte
// changed, is refused.
func TestNoPartIsTakenForTheWhole(t *testing.T) {
	whole := written(t, some())
	for i := range len(whole) - 1 {
		if _, err := archive.Read(strings.NewReader(whole[:i])); err == nil || strings.Contains(err.Error(), "\n") {
			t.Fatalf("cut to %d of %d bytes: %v", i, len(whole), err)
		}
		changed := []byte(whole)
		changed[i] ^= 1
		if _, err := archive.Read(bytes.NewReader(changed)); err == nil {
			t.Fatalf("with byte %d (%q) changed it is taken", i, whole[i])
		}
	}
}

func TestRefused(t *testing.T) {
	const head = `{"tandem":"state","format":1}` + "\n"
	for name, c := range map[string]struct{ src, want string }{
		"another file":     {"hello\n", "it is no archive"},
		"an empty file":    {"", "it is no archive"},
		"a later format":   {`{"tandem":"state","format":9}` + "\n", "it has format 9, and this program reads format 1"},
		"no record":        {head + "[]\n", "line 2: it is no record"},
		"an unknown kind":  {head + `{"kind":"offer","key":"x","record":{}}` + "\n", `line 2: unknown kind of record "offer"`},
		"an unknown field": {head + `{"kind":"job","key":"x","record":{"colour":1}}` + "\n", `line 2: job "x" cannot be read`},
		"another's key":    {head + `{"kind":"job","key":"/x","record":{"spec":{"id":"/y"}}}` + "\n", `line 2: job "/x" says of itself that it is "/y"`},
		"a record twice": {head + strings.Repeat(`{"kind":"job","key":"/x","record":{"spec":{"id":"/x"}}}`+"\n", 2),
			`line 3: job "/x" is there twice`},
		"no last line":             {head + `{"kind":"job","key":"/x","record":{"spec":{"id":"/x"}}}` + "\n", "it ends after 1 records"},
		"more after the last line": {written(t, state.Snapshot{}) + "{}\n", "there is more after its last line"},
	} {
		if _, err := archive.Read(strings.NewReader(c.src)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	if wrong := archive.Check(some()); len(wrong) > 0 {
		t.Errorf("what belongs together is found wrong: %q", wrong)
	}
	for want, change := range map[string]func(*state.Snapshot){
		"version 1 is of job /payments/api, which is not there":                                     func(s *state.Snapshot) { s.Jobs = nil },
		"instance 0 is of job /payments/api, which is not there":                                    func(s *state.Snapshot) { s.Jobs = nil },
		"job /payments/api has no version":                                                          func(s *state.Snapshot) { s.Jobs[0].Version = 0 },
		"job /payments/api is at version 1, and there is a version 2 of it":                         func(s *state.Snapshot) { s.Jobs[0].Version = 1 },
		"attempt 1 of instance 0 of job /payments/api is of an instance that is not there":          func(s *state.Snapshot) { s.Instances = nil },
		"attempt 1 of instance 0 of job /payments/api is later than the last one that the instance": func(s *state.Snapshot) { s.Instances[0].Attempt = 0 },
		"has the task \"x.0.1.web\", whose name is not one of its":                                  func(s *state.Snapshot) { s.Attempts[0].Tasks[0].TaskId = "x.0.1.web" },
		"the request SubmitJob \"token:ci\" \"deploy \\\"42\\\"\" does not say what was asked for":  func(s *state.Snapshot) { s.Requests[0].Sha256 = nil },
		"tasks were launched, and there is no framework ID":                                         func(s *state.Snapshot) { s.Framework = nil },
		"version 1 of job /payments/api holds the job \"/other\"": func(s *state.Snapshot) {
			s.Versions[0].Spec = &tandemv1.Job{Id: "/other"}
		},
	} {
		all := some()
		change(&all)
		if got := strings.Join(archive.Check(all), "\n"); !strings.Contains(got, want) {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	ended := some()
	ended.Framework = nil
	ended.Attempts[0].Ended = timestamppb.Now()
	if wrong := archive.Check(ended); len(wrong) > 0 {
		t.Errorf("without anything running no framework is needed: %q", wrong)
	}
}

// FuzzRead: no archive makes reading it panic.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"tandem":"state","format":1}` + "\n" + `{"kind":"job","key":"/x","record":{"spec":{"id":"/x"}}}` + "\n" + `{"records":1,"crc32c":"00000000"}` + "\n"))
	f.Fuzz(func(_ *testing.T, src []byte) { _, _ = archive.Read(bytes.NewReader(src)) })
}
