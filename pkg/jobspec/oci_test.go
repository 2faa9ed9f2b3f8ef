package jobspec_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/confine"
	"github.com/tandem-mesos/tandem/pkg/jobspec"
)

// Whatever the runtime specification has for resources can be written in a job
// file, and arrives as it was written.
func TestEveryResourceOfOCICanBeWritten(t *testing.T) {
	var want specs.LinuxResources
	fill(t, reflect.ValueOf(&want).Elem())
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	// JSON is YAML.
	src := "id: /words\nworkloads:\n- name: count\n  cmd: wc -w\n  linux: {resources: " + string(data) + "}\n"
	job, err := jobspec.Parse("job.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if data, err = json.Marshal(job.Workloads[0].Linux.Resources.AsMap()); err != nil {
		t.Fatal(err)
	}
	var got specs.LinuxResources
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// fill gives every field of a value one that is not its zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0))
	case v.Kind() == reflect.Map:
		key, element := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key)
		fill(t, element)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, element)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.String:
		v.SetString("some text")
	case v.CanInt():
		v.SetInt(7)
	case v.CanUint():
		v.SetUint(7)
	default:
		t.Fatalf("a job file is not known to have room for a %s", v.Type())
	}
}

// A bundle says what runs where the job does not, and a seccomp profile of the job's
// arrives as it was written.
func TestABundleNeedsNoCommand(t *testing.T) {
	const profile = `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]}]}`
	job, err := jobspec.Parse("job.yaml", []byte("id: /app\nworkloads:\n- name: main\n  linux: {bundle: app, seccomp: "+profile+"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	asked, err := confine.Parse(jobspec.Confinement(job.Workloads[0].Linux))
	if err != nil {
		t.Fatal(err)
	}
	var want specs.LinuxSeccomp
	if err := json.Unmarshal([]byte(profile), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, asked.Seccomp); diff != "" || asked.Bundle != "app" {
		t.Errorf("bundle %s: -want +got:\n%s", asked.Bundle, diff)
	}
}
