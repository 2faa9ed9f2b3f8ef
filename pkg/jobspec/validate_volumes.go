package jobspec

import (
	"fmt"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// maxVolumes is the most volumes that an instance may have.
const maxVolumes = 16

// reservedNames are what a task's directory holds beside the workload's files.
var reservedNames = map[string]bool{"stdout": true, "stderr": true}

func (c *checker) volumes(job *tandemv1.Job) {
	if len(job.Volumes) == 0 {
		return
	}
	switch {
	case job.Type == tandemv1.JobType_JOB_TYPE_DAEMON, job.Type == tandemv1.JobType_JOB_TYPE_CRON:
		c.refuse("volumes", "are for services and batch jobs only: the instances of others come and go")
	case job.GetExecutor().GetShare() > tandemv1.ExecutorShare_EXECUTOR_SHARE_INSTANCE:
		c.refuse("volumes", "cannot be had with a shared executor: set executor.share to instance")
	case len(job.Volumes) > maxVolumes:
		c.refuse("volumes", "are %d, and may be at most %d", len(job.Volumes), maxVolumes)
	}
	seen := map[string]bool{}
	for i, v := range job.Volumes {
		field := fmt.Sprintf("volumes[%d]", i)
		switch n := v.GetName(); {
		case n == "":
			c.refuse(field+".name", "is required")
		case !name.MatchString(n):
			c.refuse(field+".name", "%s has other characters than lower-case letters, digits and hyphens, or more than 63", quoted(n))
		case reservedNames[n]:
			c.refuse(field+".name", "%s is the name of a file that each workload has", quoted(n))
		case seen[n]:
			c.refuse(field+".name", "%s is the name of another volume", quoted(n))
		}
		seen[v.GetName()] = true
		// Mesos counts in thousandths, and an empty volume is none.
		if !(v.GetSize() >= 1) || v.GetSize() > 1<<40 {
			c.refuse(field+".size", "is required: 1Mi or more, such as 10Gi")
		}
	}
}
