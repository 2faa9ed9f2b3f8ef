package app_test

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
)

// TestMetricsAreDocumented: docs/operations.md names every metric, and none that
// is not there; and each metric's help says what its unit is.
func TestMetricsAreDocumented(t *testing.T) {
	opt, _ := options(t, startMesos(t))
	at, _ := run(t, opt)
	c := tandemv1connect.NewSchedulerServiceClient(http.DefaultClient, at.Local)
	subscribed(t, c)
	// Some metrics are there only when there is something to count. No call
	// fails here, no task ends in time, and nobody stands by.
	if _, err := c.SubmitJob(t.Context(), &tandemv1.SubmitJobRequest{Job: &tandemv1.Job{
		Id: "/counted", Workloads: []*tandemv1.Workload{{Name: "main", Cmd: "true"}},
	}}); err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{"tandem_mesos_call_failures_total": true, "tandem_tasks_ended_total": true, "tandem_standby_copied_timestamp_seconds": true}
	for _, m := range regexp.MustCompile(`(?m)^# HELP (tandem_\w+) (.*)$`).FindAllStringSubmatch(string(get(t, at.Local+"/metrics")), -1) {
		there[m[1]] = true
		if strings.HasSuffix(m[1], "_seconds") && !strings.HasSuffix(m[2], ", in seconds.") {
			t.Errorf("%s does not state its unit: %s", m[1], m[2])
		}
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, name := range regexp.MustCompile(`tandem_\w+`).FindAllString(string(page), -1) {
		documented[name] = true
	}
	if diff := cmp.Diff(sorted(there), sorted(documented)); diff != "" {
		t.Errorf("what is there and what is documented differ (-there +documented):\n%s", diff)
	}
}

func sorted(m map[string]bool) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
