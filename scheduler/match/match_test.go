package match

import (
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func mustCompile(t testing.TB, constraints []*tandemv1.Constraint, prefer []*tandemv1.Preference) *Rules {
	t.Helper()
	rs, err := Compile(constraints, prefer)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}
