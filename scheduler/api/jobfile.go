package api

import (
	"errors"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// filed is a request that may hold a job as the text of a job file.
type filed interface {
	GetJob() *tandemv1.Job
	GetJobFile() string
}

// unfile puts the job in the place of its file in a request, so that whoever looks for
// a job there finds one.
func unfile(request any) error {
	r, ok := request.(filed)
	if !ok || r.GetJobFile() == "" {
		return nil
	}
	if r.GetJob() != nil {
		return refusedFields("the request holds two jobs", []jobspec.Problem{{Field: "jobFile", Reason: "stands in place of job: give one of them"}})
	}
	job, err := jobspec.Parse("jobFile", []byte(r.GetJobFile()))
	if problems := jobspec.Problems(nil); errors.As(err, &problems) {
		return refusedFields("the job file cannot be accepted", problems)
	}
	switch r := r.(type) {
	case *tandemv1.SubmitJobRequest:
		r.Job, r.JobFile = job, ""
	case *tandemv1.PlanJobRequest:
		r.Job, r.JobFile = job, ""
	}
	return err
}
