package secret_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/scheduler/secret"
)

func write(t *testing.T, dir, name, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDirectory reads a directory that holds what is a secret and what is none.
func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "plain", "one")
	write(t, dir, "edited", "two\r\n")
	write(t, dir, "lines", "a\nb\n\n")
	write(t, dir, "largest", strings.Repeat("x", secret.MaxSize)+"\n")
	write(t, dir, "large", strings.Repeat("x", secret.MaxSize+1))
	write(t, dir, "zero", "a\x00b")
	write(t, dir, ".hidden", "no")
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	// As Kubernetes mounts them.
	if err := os.Mkdir(filepath.Join(dir, "..data"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "..data"), "linked", "three")
	for name, to := range map[string]string{"linked": "..data/linked", "dangling": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	d, err := secret.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	names, err := d.Names()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"edited", "large", "largest", "lines", "linked", "plain", "zero"}, names); diff != "" {
		t.Errorf("the names differ (-want +got):\n%s", diff)
	}
	for _, tt := range []struct{ name, want, problem string }{
		{"plain", "one", ""},
		{"edited", "two", ""},
		{"lines", "a\nb\n", ""},
		{"linked", "three", ""},
		{"largest", strings.Repeat("x", secret.MaxSize), ""},
		{"large", "", "cannot use secret large: it is larger than 65536 bytes"},
		{"zero", "", "cannot use secret zero: it holds a zero byte, which no environment can"},
		{"gone", "", "cannot read secret gone: no such file or directory"},
		{"../" + filepath.Base(dir) + "/plain", "", "cannot be the name of a file"},
		{".hidden", "", "cannot be the name of a file"},
		{"directory", "", "cannot read secret directory: is a directory"},
	} {
		got, err := d.Value(tt.name)
		switch {
		case tt.problem == "" && (err != nil || string(got) != tt.want):
			t.Errorf("%s: got %d bytes, %v", tt.name, len(got), err)
		case tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)):
			t.Errorf("%s: the error is %v, not %q", tt.name, err, tt.problem)
		case err != nil && strings.Contains(err.Error(), dir):
			t.Errorf("%s: the error tells where secrets are: %v", tt.name, err)
		}
	}
	write(t, dir, "plain", "another")
	if got, err := d.Value("plain"); err != nil || string(got) != "another" {
		t.Errorf("a secret that was changed is %q, %v", got, err)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file", "")
	for path, want := range map[string]string{
		filepath.Join(dir, "gone"): "cannot use the secrets' directory: stat " + dir + "/gone: no such file or directory",
		filepath.Join(dir, "file"): "cannot use the secrets' directory: " + dir + "/file is a file, and one with a file for each secret is asked for",
	} {
		if _, err := secret.Open(path); err == nil || err.Error() != want {
			t.Errorf("the error is %v\nnot %s", err, want)
		}
	}
	for mode, want := range map[os.FileMode]bool{0o700: false, 0o750: false, 0o755: true, 0o701: true} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		d, err := secret.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if d.Exposed() != want {
			t.Errorf("a directory of mode %04o: exposed is %t", mode, d.Exposed())
		}
	}
}

// TestReveal puts values into a copy, and leaves the call that names them, which
// is shown and comes back when it fails, without any.
func TestReveal(t *testing.T) {
	value := "plain"
	task := func(id string, variables ...mesos.Environment_Variable) mesos.TaskInfo {
		return mesos.TaskInfo{TaskID: mesos.TaskID{Value: id}, Command: &mesos.CommandInfo{Environment: &mesos.Environment{Variables: variables}}}
	}
	named := func(name, secret string) mesos.Environment_Variable {
		return mesos.Environment_Variable{Name: name, Type: mesos.Environment_Variable_SECRET.Enum(),
			Secret: &mesos.Secret{Type: mesos.Secret_REFERENCE, Reference: &mesos.Secret_Reference{Name: secret}}}
	}
	launch := func(tasks ...mesos.TaskInfo) mesos.Offer_Operation {
		return mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH_GROUP,
			LaunchGroup: &mesos.Offer_Operation_LaunchGroup{TaskGroup: mesos.TaskGroupInfo{Tasks: tasks}}}
	}
	plain := mesos.Environment_Variable{Name: "MODE", Value: &value}
	call := &scheduler.Call{Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{Operations: []mesos.Offer_Operation{
		launch(task("a", plain)),
		launch(task("b", plain), task("c", plain, named("PASSWORD", "db"), plain, named("KEY", "key"))),
		{Type: mesos.Offer_Operation_RESERVE},
	}}}
	before := call.String()
	held := func(name string) ([]byte, error) {
		if name == "gone" {
			return nil, errors.New("cannot read secret gone: no such file or directory")
		}
		return []byte("value of " + name), nil
	}
	got, err := secret.Reveal(call, held)
	if err != nil {
		t.Fatal(err)
	}
	if call.String() != before {
		t.Errorf("the call was changed:\n%s\n%s", before, call)
	}
	if got.Accept.Operations[0].LaunchGroup != call.Accept.Operations[0].LaunchGroup {
		t.Error("a group without secrets was copied")
	}
	variables := got.Accept.Operations[1].LaunchGroup.TaskGroup.Tasks[1].Command.Environment.Variables
	for i, want := range map[int]string{1: "value of db", 3: "value of key"} {
		s := variables[i].Secret
		if variables[i].GetType() != mesos.Environment_Variable_SECRET || s.Type != mesos.Secret_VALUE || s.Reference != nil || string(s.Value.GetData()) != want {
			t.Errorf("variable %d is %v", i, variables[i])
		}
	}
	if variables[0].GetValue() != value || variables[2].GetValue() != value {
		t.Errorf("the plain variables are %v", variables)
	}

	without := &scheduler.Call{Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{Operations: call.Accept.Operations[:1]}}
	for _, c := range []*scheduler.Call{without, {Type: scheduler.Call_KILL}} {
		if same, err := secret.Reveal(c, held); err != nil || same != c {
			t.Errorf("a call without secrets came back as %v, %v", same, err)
		}
	}
	missing := &scheduler.Call{Accept: &scheduler.Call_Accept{Operations: []mesos.Offer_Operation{launch(task("d", named("PASSWORD", "gone")))}}}
	if _, err := secret.Reveal(missing, held); err == nil || err.Error() != "variable PASSWORD: cannot read secret gone: no such file or directory" {
		t.Errorf("the error is %v", err)
	}
}
