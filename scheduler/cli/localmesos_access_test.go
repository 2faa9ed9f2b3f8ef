package cli

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
)

func TestAccessToALocalMesos(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f := mesosAccess{
		credentials:     file("frameworks", `{"credentials": [{"principal": "f", "secret": "one"}, {"principal": "g", "secret": ""}]}`),
		httpCredentials: file("operators", `{"credentials": [{"principal": "o", "secret": "two"}]}`),
		acls:            file("acls", `{"permissive": false, "view_flags": [{"principals": {"values": ["o"]}, "flags": {"type": "ANY"}}]}`),
	}
	var o localmesos.Options
	if err := f.apply(&o); err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"f": "one", "g": ""}; !maps.Equal(o.Master.FrameworkCredentials, want) {
		t.Errorf("frameworks authenticate as %v, want %v", o.Master.FrameworkCredentials, want)
	}
	want := map[string]string{"o": "two"}
	if !maps.Equal(o.Master.OperatorCredentials, want) || !maps.Equal(o.Agent.OperatorCredentials, want) {
		t.Errorf("operators authenticate as %v and %v, want %v", o.Master.OperatorCredentials, o.Agent.OperatorCredentials, want)
	}
	if !o.Master.AuthenticateReadonly || !o.Master.AuthenticateReadwrite || !o.Agent.AuthenticateReadonly || !o.Agent.AuthenticateReadwrite {
		t.Error("operators need not authenticate everywhere")
	}
	if !o.Agent.ACLs.AllowAny("o", acl.ViewFlags) || o.Master.ACLs.AllowAny("f", acl.ViewFlags) {
		t.Error("the ACLs are others")
	}
}

func TestAccessThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no JSON":         {`x`, "it is not of the form"},
		"another member":  {`{"users": []}`, "unknown field"},
		"nobody":          {`{"credentials": []}`, "nobody is in it"},
		"no principal":    {`{"credentials": [{"secret": "s"}]}`, "a principal is missing"},
		"somebody, twice": {`{"credentials": [{"principal": "p"}, {"principal": "p"}]}`, "the principal p is there twice"},
	} {
		if _, err := parseCredentials([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for _, f := range []mesosAccess{{credentials: missing}, {httpCredentials: missing}, {acls: missing}} {
		if err := f.apply(&localmesos.Options{}); err == nil || !strings.HasPrefix(err.Error(), f.given()+": cannot read the file: ") {
			t.Errorf("%s: %v", f.given(), err)
		}
	}
}
