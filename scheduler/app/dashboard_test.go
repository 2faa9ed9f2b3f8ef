package app_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"
)

// TestDashboardAndAlerts: each panel has a query, each alert says whom it wakes
// and what to do, and both ask for metrics that docs/operations.md describes,
// which are those that there are.
func TestDashboardAndAlerts(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	names := regexp.MustCompile(`\btandem_[a-z_]*[a-z]\b`)
	for _, name := range names.FindAllString(string(page), -1) {
		described[name] = true
	}
	known := func(t *testing.T, where, expr string) {
		for _, name := range names.FindAllString(expr, -1) {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, part)
			}
			if !described[name] {
				t.Errorf("%s asks for %s, which docs/operations.md does not describe", where, name)
			}
		}
	}

	src, err := os.ReadFile("../../examples/operations/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(src, &dashboard); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the ID %d", p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			known(t, p.Title, target.Expr)
		}
	}

	src, err = os.ReadFile("../../examples/operations/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var alerts struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(src, &alerts); err != nil {
		t.Fatal(err)
	}
	if len(alerts.Groups) != 1 || len(alerts.Groups[0].Rules) == 0 {
		t.Fatal("there are no alerts")
	}
	for _, r := range alerts.Groups[0].Rules {
		if r.Expr == "" || r.For == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("the alert %s lacks something: %+v", r.Alert, r)
		}
		known(t, r.Alert, r.Expr)
	}
}
