package api_test

import (
	"errors"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// TestAJobAsTheTextOfItsFile is the same request as with the job itself: by rights too,
// over every protocol; what is wrong with the file is told with its line.
func TestAJobAsTheTextOfItsFile(t *testing.T) {
	var submitted []*tandemv1.Job
	opt, _, _ := guarded(t, &commander{submit: func(s core.Submit) (core.Reply, error) {
		submitted = append(submitted, s.Job)
		return core.Reply{Version: 5, Changed: true}, nil
	}}, teams())
	base, _ := serve(t, opt)
	const file = "id: /team/words\ntype: batch\nworkloads:\n- {name: count, cmd: wc -l}\n"
	for _, tt := range []struct {
		what, token, file string
		job               *tandemv1.Job
		code              connect.Code
		text              string
	}{
		{what: "who may", token: "planted-writer", file: file},
		{what: "who may not", token: "planted-reader", file: file, code: connect.CodePermissionDenied, text: "may not operate any job"},
		{what: "another's job", token: "planted-writer", file: strings.Replace(file, "/team/", "/other/", 1), code: connect.CodePermissionDenied, text: "job /other/words"},
		{what: "nobody known", file: "no: file", code: connect.CodeUnauthenticated, text: "say who you are"},
		{what: "a slip", token: "planted-writer", file: strings.Replace(file, "type:", "tpye:", 1), code: connect.CodeInvalidArgument, text: "jobFile:2:1: tpye: unknown key"},
		{what: "a file beside it", token: "planted-writer", file: strings.Replace(file, "cmd: wc -l", "cmd: wc -l, fetch: [{uri: words.txt}]", 1), code: connect.CodeInvalidArgument, text: "fetch[0].uri"},
		{what: "both", token: "planted-writer", file: file, job: team("/team/words"), code: connect.CodeInvalidArgument, text: "jobFile: stands in place of job"},
	} {
		for protocol, client := range as(base, tt.token) {
			submitted = nil
			_, err := client.SubmitJob(t.Context(), &tandemv1.SubmitJobRequest{JobFile: tt.file, Job: tt.job})
			if tt.code == 0 {
				if err != nil || len(submitted) != 1 || submitted[0].GetId() != "/team/words" || submitted[0].GetType() != tandemv1.JobType_JOB_TYPE_BATCH {
					t.Errorf("%s, by %s: %v, %v", tt.what, protocol, submitted, err)
				}
				continue
			}
			var refused *connect.Error
			if !errors.As(err, &refused) || refused.Code() != tt.code || !strings.Contains(refused.Message(), tt.text) || submitted != nil {
				t.Errorf("%s, by %s: %v, %v", tt.what, protocol, submitted, err)
			}
		}
	}
	for protocol, client := range as(base, "planted-reader") {
		byFile, err := client.PlanJob(t.Context(), &tandemv1.PlanJobRequest{JobFile: file})
		if err != nil || byFile.GetJob().GetId() != "/team/words" || byFile.GetCurrent() == nil {
			t.Errorf("a plan by %s: %v, %v", protocol, byFile, err)
		}
		// What GetJob answers can be sent as it is.
		got, err := client.GetJob(t.Context(), &tandemv1.GetJobRequest{Id: "/team/words"})
		if err != nil {
			t.Fatal(err)
		}
		again, err := client.PlanJob(t.Context(), &tandemv1.PlanJobRequest{JobFile: got.GetJobFile()})
		byJob, err2 := client.PlanJob(t.Context(), &tandemv1.PlanJobRequest{Job: got.GetJob().GetJob().GetSpec()})
		if err := errors.Join(err, err2); err != nil || !proto.Equal(again.GetJob(), byJob.GetJob()) {
			t.Errorf("by %s: %v is not %v, %v", protocol, again, byJob, err)
		}
	}
}
