package task

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"
)

var here = Place{FrameworkID: "framework-1", Hostname: "agent.example", IP: "10.0.0.9", Dir: "/sandbox/tasks/api.0.1.web"}

func variable(name, value string) mesos.Environment_Variable {
	return mesos.Environment_Variable{Name: name, Value: &value}
}

func withVariables(all ...mesos.Environment_Variable) *mesos.CommandInfo {
	return &mesos.CommandInfo{Environment: &mesos.Environment{Variables: all}}
}

func portRanges(spans ...uint64) mesos.Resource {
	r := mesos.Resource{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{}}
	for i := 0; i < len(spans); i += 2 {
		r.Ranges.Range = append(r.Ranges.Range, mesos.Value_Range{Begin: spans[i], End: spans[i+1]})
	}
	return r
}

func TestEnvironment(t *testing.T) {
	base := map[string]string{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": here.Dir, "HOST": "agent.example",
		"MESOS_SANDBOX": here.Dir, "MESOS_TASK_ID": "api.0.1.web", "MESOS_FRAMEWORK_ID": "framework-1",
		"MESOS_CONTAINER_IP": "10.0.0.9",
	}
	for _, c := range []struct {
		name string
		task mesos.TaskInfo
		want map[string]string
	}{
		{"nothing asked for", mesos.TaskInfo{}, nil},
		{"the command's own", mesos.TaskInfo{Command: withVariables(variable("MODE", "production"), variable("PATH", "/opt/bin"), variable("EMPTY", ""))},
			map[string]string{"MODE": "production", "PATH": "/opt/bin", "EMPTY": ""}},
		{"what the system says cannot be changed", mesos.TaskInfo{Command: withVariables(variable("MESOS_SANDBOX", "/"), variable("HOST", "me"))},
			map[string]string{"HOST": "me"}},
		{"a secret by value", mesos.TaskInfo{Command: withVariables(mesos.Environment_Variable{
			Name: "PASSWORD", Type: mesos.Environment_Variable_SECRET.Enum(), Secret: &mesos.Secret{Value: &mesos.Secret_Value{Data: []byte("hunter2")}},
		})}, map[string]string{"PASSWORD": "hunter2"}},
		{"ports among the resources", mesos.TaskInfo{Resources: []mesos.Resource{portRanges(31005, 31006, 31002, 31002)}},
			map[string]string{"PORT0": "31005", "PORT1": "31006", "PORT2": "31002"}},
		{"named ports come first, in their order", mesos.TaskInfo{
			Resources: []mesos.Resource{portRanges(31000, 31002)},
			Discovery: &mesos.DiscoveryInfo{Ports: &mesos.Ports{Ports: []mesos.Port{
				{Number: 31002, Name: proto.String("http")}, {Number: 31000, Name: proto.String("admin-tls")},
			}}},
		}, map[string]string{"PORT0": "31002", "PORT1": "31000", "PORT2": "31001", "PORT_HTTP": "31002", "PORT_ADMIN_TLS": "31000"}},
		{"the role that its resources are allocated to", mesos.TaskInfo{Resources: []mesos.Resource{
			{Name: "cpus", AllocationInfo: &mesos.Resource_AllocationInfo{Role: proto.String("web/api")}},
		}}, map[string]string{"MESOS_ALLOCATION_ROLE": "web/api"}},
		{"a range that is none of ports", mesos.TaskInfo{Resources: []mesos.Resource{portRanges(65534, 1<<63)}},
			map[string]string{"PORT0": "65534", "PORT1": "65535"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.task.TaskID.Value = "api.0.1.web"
			list, err := Environment(&c.task, nil, here)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{}
			for _, m := range []map[string]string{base, c.want} {
				for name, value := range m {
					want[name] = value
				}
			}
			got := map[string]string{}
			for _, v := range list {
				name, value, _ := strings.Cut(v, "=")
				got[name] = value
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestEnvironmentRefusals(t *testing.T) {
	for want, c := range map[string]*mesos.CommandInfo{
		`a variable named ""`:    withVariables(variable("", "x")),
		`a variable named "A=B"`: withVariables(variable("A=B", "x")),
		"a zero byte":            withVariables(variable("A", "x\x00y")),
		"PASSWORD is a reference to a secret": withVariables(mesos.Environment_Variable{
			Name: "PASSWORD", Type: mesos.Environment_Variable_SECRET.Enum(),
			Secret: &mesos.Secret{Reference: &mesos.Secret_Reference{Name: "db"}},
		}),
	} {
		if _, err := Environment(&mesos.TaskInfo{Command: c}, nil, here); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestWithCommand(t *testing.T) {
	own := []string{"A=1", "B=x=y"}
	got, err := WithCommand(own, withVariables(variable("A", "2"), variable("C", "3")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A=2", "B=x=y", "C=3"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got, err := WithCommand(own, &mesos.CommandInfo{}); err != nil || cmp.Diff(own, got) != "" {
		t.Errorf("got %v, %v", got, err)
	}
}

func FuzzEnvironment(f *testing.F) {
	f.Add("MODE", "production", "http", uint64(31000), uint64(31001))
	f.Add("A=B", "", "ü", uint64(0), uint64(1<<63))
	f.Fuzz(func(t *testing.T, name, value, port string, begin, end uint64) {
		list, err := Environment(&mesos.TaskInfo{
			Command:   withVariables(variable(name, value)),
			Resources: []mesos.Resource{portRanges(begin, end)},
			Discovery: &mesos.DiscoveryInfo{Ports: &mesos.Ports{Ports: []mesos.Port{{Number: uint32(begin), Name: &port}}}},
		}, nil, here)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, v := range list {
			n, _, ok := strings.Cut(v, "=")
			if !ok || n == "" || seen[n] || strings.ContainsRune(v, 0) {
				t.Fatalf("%q cannot be in an environment", v)
			}
			seen[n] = true
		}
		if !seen["MESOS_SANDBOX"] || !seen["PATH"] {
			t.Fatalf("something is missing: %q", list)
		}
	})
}
