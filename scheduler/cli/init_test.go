package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/cli"
)

// TestInit: the file is right as it stands, also with all that stands in
// comments, speaks of every field, and is not written over another.
func TestInit(t *testing.T) {
	name := filepath.Join(t.TempDir(), "job.yaml")
	sys, stdout, _ := system(nil)
	if status := cli.Run(t.Context(), []string{"init", name}, sys); status != 0 || !strings.Contains(stdout.String(), "tandem run "+name) {
		t.Fatalf("exit %d: %s", status, stdout)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jobspec.Parse(name, content); err != nil {
		t.Errorf("it is wrong: %v", err)
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`([A-Za-z0-9]+):[ \n]`).FindAllSubmatch(content, -1) {
		seen[string(m[1])] = true
	}
	for field := range fields((&tandemv1.Job{}).ProtoReflect().Descriptor(), map[string]bool{}) {
		if !seen[field] {
			t.Errorf("it does not speak of %s", field)
		}
	}
	sys, _, stderr := system(nil)
	if status := cli.Run(t.Context(), []string{"init", name}, sys); status != 2 || !strings.Contains(stderr.String(), "there is a file "+name+" already") {
		t.Errorf("exit %d: %s", status, stderr)
	}
}

// fields returns the keys that job files have, but for those of constraints and
// of other messages than Tandem's, which are not written as mappings.
func fields(m protoreflect.MessageDescriptor, found map[string]bool) map[string]bool {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if f.FullName() == "tandem.v1.EnvValue.value" {
			continue // it is written as plain text
		}
		next := f.Message()
		if f.IsMap() {
			next = f.MapValue().Message()
		}
		found[f.JSONName()] = true
		if next != nil && next.ParentFile().Package() == "tandem.v1" && next.Name() != "Constraint" {
			fields(next, found)
		}
	}
	return found
}
