package integration

import (
	"os"
	"strconv"
	"strings"
)

func itoa[T ~int | ~int32](n T) string { return strconv.Itoa(int(n)) }

// prefer lets a job run for those who may not make cgroups, too.
func prefer(job string) string {
	if os.Getuid() == 0 {
		return job
	}
	return strings.ReplaceAll(job, "- {name:", "- {limits: {policy: prefer}, name:")
}
