package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/access"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// TestTheDocumentedCalls runs every line of docs/api.md that begins with $.
func TestTheDocumentedCalls(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	c := &commander{submit: func(s core.Submit) (core.Reply, error) {
		return core.Reply{Version: *s.ExpectedVersion + 1, Changed: true}, nil
	}}
	base, _ := serve(t, options(c, teams()))
	compact := func(text string) string {
		var b bytes.Buffer
		if json.Compact(&b, []byte(text)) != nil {
			return strings.TrimSpace(text)
		}
		return b.String()
	}
	lines := strings.Split(string(page), "\n")
	ran := 0
	for i, line := range lines {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue
		}
		ran++
		out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(command, "http://127.0.0.1:7070", base)).Output()
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
		if d := cmp.Diff(lines[i+1], compact(string(out))); d != "" {
			t.Errorf("%s (-documented +answered):\n%s", command, d)
		}
	}
	if ran == 0 {
		t.Error("the page has no calls")
	}
}

// TestPages: all pages together are the whole, over every protocol.
func TestPages(t *testing.T) {
	r := &reader{framework: &tandemv1.FrameworkView{}}
	var want []string
	for n := range 7 {
		id := fmt.Sprintf("/team/job%d", n)
		job := team(id)
		job.Labels = map[string]string{"tier": fmt.Sprint("t", n%2)}
		view := &tandemv1.JobView{Job: &tandemv1.JobRecord{Spec: job, Version: 2}}
		for slot := range int32(12) {
			view.Instances = append(view.Instances, &tandemv1.InstanceView{
				Instance: &tandemv1.InstanceRecord{JobId: id, Slot: slot},
				Attempts: []*tandemv1.AttemptRecord{{JobId: id, Slot: slot, AgentId: fmt.Sprint("S", slot), Hostname: fmt.Sprintf("agent%02d", slot/2)}},
			})
		}
		r.jobs = append(r.jobs, view)
		want = append(want, id)
	}
	base, _ := serve(t, options(&commander{task: offersOf("agent1", "agent2", "agent3")}, r))
	for name, c := range protocols(base) {
		var got []string
		req := &tandemv1.ListJobsRequest{PageSize: 3}
		for {
			res, err := c.ListJobs(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range res.Jobs {
				got = append(got, j.Spec.Id)
			}
			if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
				break
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: the pages differ from the whole (-want +got):\n%s", name, d)
		}
		var slots []int32
		ask := &tandemv1.GetJobRequest{Id: "/team/job1", PageSize: 5, ReadMask: &fieldmaskpb.FieldMask{Paths: []string{"instances.instance.slot"}}}
		for {
			res, err := c.GetJob(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range res.Job.Instances {
				slots = append(slots, i.Instance.Slot)
				if i.Instance.JobId != "" || res.Job.Job != nil {
					t.Errorf("%s: the mask let more pass: %v", name, res.Job)
				}
			}
			if ask.PageToken = res.GetNextPageToken(); ask.PageToken == "" {
				break
			}
		}
		if len(slots) != 12 || slots[11] != 11 {
			t.Errorf("%s: got the instances %v", name, slots)
		}
		var agents []string
		for ask := (&tandemv1.ListAgentsRequest{PageSize: 5}); ; {
			res, err := c.ListAgents(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range res.Agents {
				agents = append(agents, a.AgentId)
			}
			if ask.PageToken = res.GetNextPageToken(); ask.PageToken == "" {
				break
			}
		}
		if want := "S0 S1 S2 S3 S4 S5 S6 S7 S8 S9 S10 S11"; strings.Join(agents, " ") != want {
			t.Errorf("%s: got the agents %v, want %s", name, agents, want)
		}
		var offers []string
		for ask := (&tandemv1.ListOffersRequest{PageSize: 2, ReadMask: &fieldmaskpb.FieldMask{Paths: []string{"hostname", "role"}}}); ; {
			res, err := c.ListOffers(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range res.Offers {
				offers = append(offers, o.Hostname+":"+o.Role+o.AgentId)
			}
			if ask.PageToken = res.GetNextPageToken(); ask.PageToken == "" {
				break
			}
		}
		if want := "agent1:a agent1:b agent2:a agent2:b agent3:a agent3:b"; strings.Join(offers, " ") != want {
			t.Errorf("%s: got the offers %v, want %s", name, offers, want)
		}
		if res, err := c.ListOffers(t.Context(), &tandemv1.ListOffersRequest{Agent: "S-agent2"}); err != nil || len(res.Offers) != 2 || res.Offers[0].Hostname != "agent2" {
			t.Errorf("%s: got the offers of agent2 as %v, %v", name, res, err)
		}
		if res, err := c.ListOffers(t.Context(), &tandemv1.ListOffersRequest{Role: "b"}); err != nil || len(res.Offers) != 3 || res.Offers[0].Role != "b" {
			t.Errorf("%s: got the offers to role b as %v, %v", name, res, err)
		}
		var versions []uint64
		for ask := (&tandemv1.ListVersionsRequest{Id: "/team/job1", PageSize: 1, ReadMask: &fieldmaskpb.FieldMask{Paths: []string{"version"}}}); ; {
			res, err := c.ListVersions(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range res.Versions {
				versions = append(versions, v.Version)
				if v.Spec != nil {
					t.Errorf("%s: the mask let more pass: %v", name, v)
				}
			}
			if ask.PageToken = res.GetNextPageToken(); ask.PageToken == "" {
				break
			}
		}
		if fmt.Sprint(versions) != "[2 1]" {
			t.Errorf("%s: got the versions %v", name, versions)
		}
		var volumes []string
		for ask := (&tandemv1.ListVolumesRequest{PageSize: 1, ReadMask: &fieldmaskpb.FieldMask{Paths: []string{"id"}}}); ; {
			res, err := c.ListVolumes(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range res.Volumes {
				volumes = append(volumes, v.Id+v.JobId)
			}
			if ask.PageToken = res.GetNextPageToken(); ask.PageToken == "" {
				break
			}
		}
		if want := "other.0.1.data.fw team_words.0.1.data.fw"; strings.Join(volumes, " ") != want {
			t.Errorf("%s: got the volumes %v, want %s", name, volumes, want)
		}
		some, err := c.ListJobs(t.Context(), &tandemv1.ListJobsRequest{Labels: []string{"tier=t1"}, Below: "/team", CountInstances: true})
		for n, counts := range some.GetInstanceCounts() {
			if counts.GetJobId() != some.GetJobs()[n].GetSpec().GetId() || counts.GetPhases()[0].GetCount() != 12 {
				t.Errorf("%s: of %s it counts %v", name, some.GetJobs()[n].GetSpec().GetId(), counts)
			}
		}
		if err != nil || len(some.Jobs) != 3 {
			t.Errorf("%s: %d jobs have the label, %v", name, len(some.GetJobs()), err)
		}
	}
	c := protocols(base)["gRPC"]
	for _, req := range []*tandemv1.ListJobsRequest{
		{PageSize: -1}, {PageToken: "!"}, {ReadMask: &fieldmaskpb.FieldMask{Paths: []string{"spec.nam"}}},
		{ReadMask: &fieldmaskpb.FieldMask{Paths: []string{"spec.labels.tier"}}},
	} {
		if _, err := c.ListJobs(t.Context(), req); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", req, err)
		}
	}
	if r.jobs[1].Job.Spec.Labels == nil || len(r.jobs[1].Instances) != 12 {
		t.Error("a mask has changed what readers share")
	}
}

// TestAWriteWithAKey is known by its caller, its call, its key and what it asks for,
// over every protocol.
func TestAWriteWithAKey(t *testing.T) {
	var got []*core.Request
	c := &commander{do: func(cmd core.Command) { got = append(got, cmd.Request) }}
	c.stop = func(s core.Stop) (core.Reply, error) {
		if s.JobID == "/other" {
			return core.Reply{}, &core.Refused{Code: core.OtherRequest, Reason: "it was used"}
		}
		return core.Reply{Version: 1}, nil
	}
	base, _ := serve(t, options(c, teams()))
	stop := func(key, id string, how ...connect.ClientOption) (*core.Request, error) {
		call := connect.NewClient[tandemv1.StopJobRequest, tandemv1.StopJobResponse](http.DefaultClient, base+tandemv1connect.SchedulerServiceStopJobProcedure, how...)
		req := connect.NewRequest(&tandemv1.StopJobRequest{Id: id})
		if key != "" {
			req.Header().Set("Idempotency-Key", key)
		}
		got = nil
		if _, err := call.CallUnary(t.Context(), req); err != nil {
			return nil, err
		}
		return got[0], nil
	}
	first, err := stop("one", "/a")
	if err != nil || first == nil || first.Caller != access.Anonymous || first.Call != "StopJob" || first.Key != "one" || len(first.SHA256) != 32 {
		t.Fatalf("%+v, %v", first, err)
	}
	for name, how := range map[string]connect.ClientOption{"JSON": connect.WithProtoJSON(), "gRPC-Web": connect.WithGRPCWeb()} {
		if again, err := stop("one", "/a", how); err != nil || cmp.Diff(again, first) != "" {
			t.Errorf("%s: %+v, %v, want %+v", name, again, err, first)
		}
	}
	if other, err := stop("one", "/b"); err != nil || bytes.Equal(other.SHA256, first.SHA256) {
		t.Errorf("another request: %+v, %v", other, err)
	}
	if none, err := stop("", "/a"); err != nil || none != nil {
		t.Errorf("without a key: %+v, %v", none, err)
	}
	for key, id := range map[string]string{strings.Repeat("k", 129): "/a", "tab\tbed": "/a", "one": "/other"} {
		if _, err := stop(key, id); connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "Idempotency-Key: ") {
			t.Errorf("key %q for %s: %v", key, id, err)
		}
	}
}

// TestReasonsAreTheSameOverEveryProtocol: what a program relies on.
func TestReasonsAreTheSameOverEveryProtocol(t *testing.T) {
	c := &commander{submit: func(core.Submit) (core.Reply, error) {
		return core.Reply{}, &core.Refused{Code: core.StaleVersion, Reason: "it is at version 4"}
	}}
	base, _ := serve(t, options(c, teams()))
	reason := func(err error) string {
		var refused *connect.Error
		if !errors.As(err, &refused) {
			return fmt.Sprint(err)
		}
		for _, d := range refused.Details() {
			if v, err := d.Value(); err == nil {
				if info, ok := v.(*errdetails.ErrorInfo); ok {
					return info.Domain + " " + info.Reason
				}
			}
		}
		return "none"
	}
	for name, c := range protocols(base) {
		_, stale := c.SubmitJob(t.Context(), &tandemv1.SubmitJobRequest{Job: words()})
		_, gone := c.GetJob(t.Context(), &tandemv1.GetJobRequest{Id: "/gone"})
		_, wrong := c.StopJob(t.Context(), &tandemv1.StopJobRequest{})
		for err, want := range map[error]string{stale: "STALE_VERSION", gone: "NOT_FOUND", wrong: "INVALID_REQUEST"} {
			if got := reason(err); got != "tandem "+want {
				t.Errorf("%s: %v: %s, want %s", name, err, got, want)
			}
		}
	}
}

// offersOf answers with an offer of each agent for role a and one for role b.
func offersOf(hosts ...string) func(core.Command) (core.Reply, error) {
	return func(core.Command) (core.Reply, error) {
		var r core.Reply
		for _, h := range hosts {
			for _, role := range []string{"a", "b"} {
				r.Offers = append(r.Offers, &tandemv1.OfferView{AgentId: "S-" + h, Hostname: h, Role: role})
			}
		}
		return r, nil
	}
}
