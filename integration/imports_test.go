package integration

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tandem-mesos/tandem/"

// importRules are the directions in which packages may know each other. A rule
// applies to packages whose path below the module has the prefix.
var importRules = []struct {
	prefix string
	// forbidden are prefixes of imports, of the module when they have no dot.
	forbidden []string
	// except are prefixes of importing packages that the rule spares.
	except []string
	why    string
}{
	{"proto/", []string{"pkg/", "scheduler/", "executor/", "integration"}, nil,
		"messages know no code"},
	{"pkg/", []string{"scheduler", "executor", "integration"}, nil,
		"what both programs share knows neither"},
	{"pkg/localmesos", []string{"proto/", "pkg/jobspec", "pkg/mesos"}, nil,
		"an embedded Mesos that knows Tandem is not an honest one"},
	{"scheduler", []string{"executor", "integration"}, nil,
		"scheduler and executor meet on the wire only"},
	{"executor", []string{"scheduler", "integration", "pkg/jobspec"}, nil,
		"scheduler and executor meet on the wire only"},
	{"scheduler", []string{"pkg/localmesos"}, []string{"scheduler/cli"},
		"only `tandem local` embeds a Mesos"},
	{"executor", []string{"pkg/localmesos"}, nil,
		"the executor meets real agents"},
	{"scheduler/core", []string{"std:net", "std:os", "std:sync", "std:log", "logrus"}, nil,
		"the core is pure"},
	{"scheduler/match", []string{"std:net", "std:os", "std:sync", "std:log", "logrus"}, nil,
		"matching is pure"},
	{"scheduler/state", []string{"std:net", "std:os", "std:sync", "std:log", "logrus"}, nil,
		"records are plain"},
	{"executor/core", []string{"std:net", "std:os", "std:sync", "std:log", "logrus"}, nil,
		"the core is pure"},
	{"scheduler/core", []string{"scheduler/loop", "scheduler/store", "scheduler/api", "scheduler/app", "scheduler/cli"}, nil,
		"the core knows nobody who performs"},
	{"executor/core", []string{"executor/loop", "executor/app", "executor/workload"}, nil,
		"the core knows nobody who performs"},
}

// TestImportDirections holds the rules of docs/architecture.md. Tests of a
// package may import what they like.
func TestImportDirections(t *testing.T) {
	list := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("cannot list packages: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("cannot read the list of packages: %v", err)
		}
		path := strings.TrimPrefix(pkg.ImportPath, module)
		for _, rule := range importRules {
			if !strings.HasPrefix(path, rule.prefix) ||
				slices.ContainsFunc(rule.except, func(p string) bool { return strings.HasPrefix(path, p) }) {
				continue
			}
			for _, imported := range pkg.Imports {
				for _, f := range rule.forbidden {
					if breaks(imported, f) {
						t.Errorf("%s imports %s: %s", path, imported, rule.why)
					}
				}
			}
		}
	}
}

// breaks reports whether an import is one that a rule forbids.
func breaks(imported, forbidden string) bool {
	if std, ok := strings.CutPrefix(forbidden, "std:"); ok {
		return imported == std || strings.HasPrefix(imported, std+"/")
	}
	if forbidden == "logrus" {
		return imported == "github.com/sirupsen/logrus"
	}
	own, ok := strings.CutPrefix(imported, module)
	return ok && strings.HasPrefix(own, forbidden)
}
