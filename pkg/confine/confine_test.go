package confine_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/pkg/confine"
)

func TestParse(t *testing.T) {
	s, err := confine.Parse([]byte(`{
		"process": {
			"user": {"umask": 23, "additionalGids": [7]},
			"capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]},
			"rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": -1}, {"type": "RLIMIT_AS", "soft": 18446744073709551615, "hard": 18446744073709551615}],
			"noNewPrivileges": true, "oomScoreAdj": -5
		},
		"namespaces": [{"type": "pid"}, {"type": "mount"}],
		"root": {"readonly": true},
		"mounts": [{"destination": "/tmp", "type": "tmpfs", "options": ["nosuid", "size=16m", "mode=1777"]}]
	}`))
	if err != nil {
		t.Fatal(err)
	}
	p := s.Process
	if *p.User.Umask != 0o27 || p.User.AdditionalGids[0] != 7 || !p.NoNewPrivileges || *p.OOMScoreAdj != -5 || !s.Has("pid") || s.Has("ipc") || !s.Root.Readonly {
		t.Errorf("got %+v", s)
	}
	if p.Rlimits[0].Hard.Kernel() != unix.RLIM_INFINITY || p.Rlimits[1].Soft != confine.Unlimited {
		t.Errorf("rlimits = %+v", p.Rlimits)
	}
	if flags, data, err := s.Mounts[0].Flags(); flags != unix.MS_NOSUID || data != "size=16m,mode=1777" || err != nil {
		t.Errorf("flags = %x, %q, %v", flags, data, err)
	}
	if s, err := confine.Parse(nil); err != nil || s.Process != nil {
		t.Errorf("nothing is %+v, %v", s, err)
	}
	for _, in := range []string{`{"process": 1}`, `{"hooks": {}}`, `{"process": {"args": ["sh"]}}`, `{} {}`, `{`} {
		if _, err := confine.Parse([]byte(in)); err == nil || !strings.Contains(err.Error(), "are not those of the OCI") {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestWhatCannotBeMeant(t *testing.T) {
	for in, want := range map[string][]string{
		`{"namespaces": [{"type": "network"}]}`:                                  {`namespaces[0].type is "network"; a workload can have its own pid, mount, ipc and uts`},
		`{"namespaces": [{"type": "uts"}, {"type": "uts"}]}`:                     {`namespaces[1].type is "uts" a second time`},
		`{"namespaces": [{"type": "pid"}]}`:                                      {`namespaces has pid without mount; a program that sees its own processes only needs a /proc of its own: add {type: mount}`},
		`{"root": {"readonly": true}}`:                                           {`root.readonly needs a mount namespace; add {type: mount} to linux.namespaces`},
		`{"root": {"path": "rootfs"}}`:                                           {`root.path needs a mount namespace; add {type: mount} to linux.namespaces`},
		`{"root": {"path": "images/rootfs"}, "namespaces": [{"type": "mount"}]}`: nil,
		`{"root": {"path": "../rootfs"}, "namespaces": [{"type": "mount"}]}`:     {`root.path is "../rootfs"; it must be a directory that fetch brings into the workload's own, such as rootfs`},
		`{"root": {}}`: nil,
		`{"namespaces": [{"type": "mount"}], "mounts": [{"destination": "/", "type": "bind"}]}`:                             {`mounts[0].type is "bind"; only tmpfs can be mounted`, `mounts[0].destination is "/"; it must be an absolute path without . and .., and not /`},
		`{"namespaces": [{"type": "mount"}], "mounts": [{"destination": "/a/../b", "type": "tmpfs"}]}`:                      {`mounts[0].destination is "/a/../b"; it must be an absolute path without . and .., and not /`},
		`{"namespaces": [{"type": "mount"}], "mounts": [{"destination": "/a", "type": "tmpfs", "options": ["size=much"]}]}`: {`mounts[0].options have "size=much", whose value is not a number`},
		`{"namespaces": [{"type": "mount"}], "mounts": [{"destination": "/a", "type": "tmpfs", "options": ["suid"]}]}`:      {`mounts[0].options have "suid"; known are nosuid, nodev, noexec, ro, rw, size, nr_inodes, mode, uid and gid`},
		`{"process": {"rlimits": [{"type": "NOFILE", "soft": 2, "hard": 1}]}}`:                                              {`process.rlimits[0].type is "NOFILE"; the kernel's are called RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_MEMLOCK and so on`, `process.rlimits[0].soft is above hard`},
		`{"process": {"rlimits": [{"type": "RLIMIT_CPU", "soft": -2, "hard": -1}]}}`:                                        {`process.rlimits[0] is below -1, which means no limit`},
		`{"process": {"rlimits": [{"type": "RLIMIT_CPU", "soft": -1, "hard": 5}]}}`:                                         {`process.rlimits[0].soft is above hard`},
		`{"process": {"user": {"umask": 512}, "oomScoreAdj": 1001}}`:                                                        {`process.user.umask is 01000; the most is 0777`, `process.oomScoreAdj is 1001; it goes from -1000 to 1000`},
		`{"process": {"capabilities": {"bounding": ["SYS_ADMIN"]}}}`:                                                        {`process.capabilities.bounding[0] is "SYS_ADMIN", which is no capability; they are called CAP_NET_BIND_SERVICE, CAP_SYS_PTRACE and so on`},
		`{"process": {"capabilities": {"effective": ["CAP_KILL"]}}}`:                                                        {`process.capabilities.effective[0] is CAP_KILL, which is not in permitted as well`},
		`{"process": {"capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "ambient": ["CAP_KILL"]}}}`:     {`process.capabilities.ambient[0] is CAP_KILL, which is not in inheritable as well`},
	} {
		var s confine.Spec
		if err := json.Unmarshal([]byte(in), &s); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range s.Check() {
			got = append(got, p.Field+" "+p.Text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", in, diff)
		}
	}
}

// Whatever a scheduler sends is either refused with a line, or has mounts and
// limits that can be given to the kernel.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"process": {"rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": -1}]}}`))
	f.Add([]byte(`{"namespaces": [{"type": "mount"}], "mounts": [{"destination": "/tmp", "type": "tmpfs", "options": ["size=1m"]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := confine.Parse(data)
		if err != nil {
			if strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("not one line: %q", err)
			}
			return
		}
		for _, m := range s.Mounts {
			if _, data, err := m.Flags(); err != nil || strings.ContainsRune(data, 0) || !strings.HasPrefix(m.Destination, "/") {
				t.Errorf("mount %+v: %q, %v", m, data, err)
			}
		}
		if s.Process != nil {
			for _, r := range s.Process.Rlimits {
				if _, ok := confine.ResourceOf(r.Type); !ok || r.Soft.Kernel() > r.Hard.Kernel() {
					t.Errorf("limit %+v", r)
				}
			}
		}
	})
}
