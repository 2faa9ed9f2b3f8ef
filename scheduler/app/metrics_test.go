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
// is not there; each metric's help says what its unit is; and the dashboard and the alerts
// ask for labels and phases that there are.
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
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(get(t, at.Local+"/metrics"))
	there := map[string]bool{"tandem_mesos_call_failures_total": true, "tandem_tasks_ended_total": true, "tandem_standby_copied_timestamp_seconds": true}
	for _, m := range regexp.MustCompile(`(?m)^# HELP (tandem_\w+) (.*)$`).FindAllStringSubmatch(text, -1) {
		there[m[1]] = true
		if strings.HasSuffix(m[1], "_seconds") && !strings.HasSuffix(m[2], ", in seconds.") {
			t.Errorf("%s does not state its unit: %s", m[1], m[2])
		}
	}
	documented := map[string]bool{}
	for _, name := range regexp.MustCompile(`tandem_\w+`).FindAllString(string(page), -1) {
		documented[name] = true
	}
	if diff := cmp.Diff(sorted(there), sorted(documented)); diff != "" {
		t.Errorf("what is there and what is documented differ (-there +documented):\n%s", diff)
	}

	for _, file := range []string{"grafana.json", "alerts.yaml"} {
		src, err := os.ReadFile("../../examples/operations/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range unknownLabels(text, strings.ReplaceAll(string(src), `\"`, `"`)) {
			t.Errorf("%s asks for %s, which is not there", file, wrong)
		}
	}
	if got := unknownLabels(text, `tandem_instances{job="x",phase=~"running|walking",colour="red"}`); len(got) != 2 {
		t.Errorf("of two things that are not there these are found: %q", got)
	}
}

// unknownLabels lists what queries ask for of metrics that are there: labels that these
// do not have, and phases that there are not. The label job is Prometheus's own.
func unknownLabels(metrics, queries string) (unknown []string) {
	has := map[string]bool{}
	label := regexp.MustCompile(`(\w+)(?:=~|!~|!=|=)"([^"]*)"`)
	for _, sample := range regexp.MustCompile(`(?m)^(tandem_\w+)(?:\{(.*)\})? `).FindAllStringSubmatch(metrics, -1) {
		has[sample[1]] = true
		for _, l := range label.FindAllStringSubmatch(sample[2], -1) {
			has[sample[1]+" "+l[1]], has[sample[1]+" "+l[1]+" "+l[2]] = true, true
		}
	}
	for _, query := range regexp.MustCompile(`(tandem_\w+)\{([^}]*)\}`).FindAllStringSubmatch(queries, -1) {
		for _, l := range label.FindAllStringSubmatch(query[2], -1) {
			switch {
			case l[1] == "job" || !has[query[1]]:
			case !has[query[1]+" "+l[1]]:
				unknown = append(unknown, query[1]+" by "+l[1])
			case l[1] == "phase":
				for phase := range strings.SplitSeq(l[2], "|") {
					if !has[query[1]+" phase "+phase] {
						unknown = append(unknown, query[1]+" in the phase "+phase)
					}
				}
			}
		}
	}
	return unknown
}

func sorted(m map[string]bool) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
