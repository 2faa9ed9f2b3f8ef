package confine_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/confine"
)

// usual is a config.json as runtimes and builders of images write them.
const usual = `{
	"ociVersion": "1.0.2-dev",
	"process": {
		"terminal": true, "user": {"uid": 1000, "gid": 100, "additionalGids": [7]},
		"args": ["/bin/serve", "-v"], "env": ["PATH=/bin", "TERM=xterm"], "cwd": "/srv",
		"capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"], "ambient": ["CAP_KILL"]},
		"rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}], "noNewPrivileges": true
	},
	"root": {"path": "./rootfs", "readonly": true},
	"hostname": "box",
	"mounts": [
		{"destination": "/proc", "type": "proc", "source": "proc"},
		{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
		{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "gid=5"]},
		{"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "size=1m"]},
		{"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"},
		{"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
		{"destination": "/sys/fs/cgroup/", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
		{"destination": "/etc/app", "type": "bind", "source": "conf", "options": ["ro"]},
		{"destination": "/odd", "type": "tmpfs", "source": "odd", "options": ["bind"]}
	],
	"linux": {
		"resources": {"devices": [{"allow": false, "access": "rwm"}]},
		"namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}],
		"seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]},
		"sysctl": {"kernel.shmmax": "4096"}, "rootfsPropagation": "rslave",
		"maskedPaths": ["/proc/asound"], "readonlyPaths": ["/proc/sys"]
	}
}`

// A task's network is the agent's; its terminal, cgroups and usual mounts are Tandem's.
func TestParseBundle(t *testing.T) {
	b, err := confine.ParseBundle([]byte(usual))
	if err != nil {
		t.Fatal(err)
	}
	kill := []string{"CAP_KILL"}
	want := &confine.Bundle{
		Args: []string{"/bin/serve", "-v"}, Env: []string{"PATH=/bin", "TERM=xterm"}, Cwd: "/srv",
		User: specs.User{UID: 1000, GID: 100, AdditionalGids: []uint32{7}},
		Spec: confine.Spec{
			Process: &confine.Process{
				User:            &confine.User{},
				Capabilities:    &specs.LinuxCapabilities{Bounding: kill, Effective: kill, Permitted: kill, Ambient: []string{}},
				Rlimits:         []confine.Rlimit{{Type: "RLIMIT_NOFILE", Soft: 1024, Hard: 1024}},
				NoNewPrivileges: true,
			},
			Namespaces: []confine.Namespace{{Type: "mount"}, {Type: "pid"}, {Type: "ipc"}, {Type: "uts"}},
			Root:       &confine.Root{Path: "rootfs", Readonly: true},
		},
		Container: confine.Container{
			Hostname: "box",
			Mounts: []specs.Mount{
				{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "size=1m"}},
				{Destination: "/etc/app", Type: "bind", Source: "conf", Options: []string{"rbind", "ro"}},
				{Destination: "/odd", Type: "bind", Source: "odd", Options: []string{"bind"}},
			},
			Seccomp: &specs.LinuxSeccomp{
				DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86_64},
				Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow}},
			},
			Sysctl:      map[string]string{"kernel.shmmax": "4096"},
			MaskedPaths: []string{"/proc/asound"}, ReadonlyPaths: []string{"/proc/sys"},
		},
		Left: []string{"the bundle's network namespace: a task has the agent's network and ports"},
	}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWhatOfABundleIsRefused(t *testing.T) {
	const ok = `"ociVersion": "1.2.0", "root": {"path": "rootfs"}`
	for in, want := range map[string]string{
		`{` + ok + `}`: "",
		`{` + ok + `, "hooks": {}, "annotations": {"a": "b"}, "windows": null, "unknown": 1, "linux": {"devices": [], "cgroupsPath": "/x", "unknown": {}}}`: "",
		`1`:  "it is no config.json of the OCI runtime specification: json: cannot unmarshal number into Go value of type confine.config",
		`{}`: `ociVersion is ""; 1.0 and later ones that go with it are known; root.path is missing`,
		`{` + ok + `, "hooks": {"prestart": [{"path": "/bin/true"}]}}`: "hooks has programs of the agent's, which are run as root outside of the root file system; leave it out",
		`{` + ok + `, "linux": {"devices": [{"path": "/dev/fuse", "type": "c"}], "uidMappings": [{"size": 1}], "intelRdt": {"closID": "x"}}}`: "linux.devices has more devices than the usual ones, which are all that a task is given; leave it out; " +
			"linux.uidMappings is for a user namespace, which no task is given; leave it out; linux.intelRdt belongs to the agent; leave it out",
		`{` + ok + `, "process": {"cwd": "tmp", "env": ["A"], "capabilities": {"bounding": ["CAP_X"]}}}`: `process.cwd is "tmp", which is not absolute; process.env[0] is "A", which is not name=value; ` +
			`process.capabilities.bounding[0] is "CAP_X", which is no capability; they are called CAP_NET_BIND_SERVICE, CAP_SYS_PTRACE and so on`,
		`{` + ok + `, "linux": {"namespaces": [{"type": "user"}, {"type": "pid", "path": "/proc/1/ns/pid"}]}}`: `linux.namespaces[0].type is "user"; a task can have its own pid, mount, ipc and uts; ` +
			`linux.namespaces[1].path is "/proc/1/ns/pid"; a task joins no namespace that is there`,
		`{"ociVersion": "1.0.0", "root": {"path": "/"}}`:         `root.path is "/"; it must be a directory in the bundle, such as rootfs`,
		`{"ociVersion": "1.0.0", "root": {"path": "../rootfs"}}`: `root.path is "../rootfs"; it must be a directory in the bundle, such as rootfs`,
		`{` + ok + `, "hostname": "box"}`:                        "hostname takes a uts namespace",
		`{` + ok + `, "mounts": [{"destination": "/etc", "type": "bind", "source": "/etc"}, {"destination": "/a", "source": "../a", "options": ["rbind"]},
			{"destination": "/b", "type": "bind", "source": "b", "options": ["rshared"]}, {"destination": "/", "type": "tmpfs"}, {"destination": "/c", "type": "sysfs"}]}`: `mounts[0].source is "/etc", on "/etc"; only what is in the bundle can be mounted; ` +
			`mounts[1].source is "../a", on "/a"; only what is in the bundle can be mounted; mounts[2].options have "rshared", on "/b"; what a task mounts is seen by nobody else; ` +
			`mounts[3].destination is "/"; it must be an absolute path, and not /; mounts[4].type is "sysfs", on "/c"; only tmpfs, and what is in the bundle, can be mounted`,
		`{` + ok + `, "linux": {"seccomp": {}}}`:                                                                                           "linux.seccomp.defaultAction is missing; SCMP_ACT_ERRNO, say, or SCMP_ACT_ALLOW",
		`{` + ok + `, "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x"}}}`:                                "linux.seccomp.listenerPath names a socket of the agent's; leave it out",
		`{` + ok + `, "linux": {"sysctl": {"kernel.shmmax": "1", "net.core.somaxconn": "1"}}}`:                                             "linux.sysctl has \"kernel.shmmax\", which takes an ipc namespace; linux.sysctl has \"net.core.somaxconn\", which is the agent's",
		`{` + ok + `, "linux": {"sysctl": {"fs/mqueue/msg_max": "1"}, "namespaces": [{"type": "ipc"}]}}`:                                   "",
		`{` + ok + `, "linux": {"rootfsPropagation": "rshared", "readonlyPaths": ["sys"], "maskedPaths": ["proc"]}}`:                       `linux.maskedPaths[0] is "proc", which is not absolute; linux.readonlyPaths[0] is "sys", which is not absolute; linux.rootfsPropagation is "rshared"; what a task mounts is seen by nobody else`,
		`{` + ok + `, "linux": {"rootfsPropagation": "rslave", "namespaces": [{"type": "cgroup"}, {"type": "mount"}, {"type": "mount"}]}}`: "",
	} {
		_, err := confine.ParseBundle([]byte(in))
		if got := text(err); got != want {
			t.Errorf("%s:\n got %s\nwant %s", in, got, want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// The limits of a bundle are not in force, which is said unless they are those about
// devices that every bundle has.
func TestLimitsOfABundle(t *testing.T) {
	for in, want := range map[string]int{
		`{}`: 0, `{"devices": [{"allow": false}]}`: 0, `{"devices": [], "pids": {"limit": 5}}`: 1, `{"memory": {"limit": 1}}`: 1,
	} {
		b, err := confine.ParseBundle([]byte(`{"ociVersion": "1.0.0", "root": {"path": "r"}, "linux": {"resources": ` + in + `}}`))
		if err != nil || len(b.Left) != want || want == 1 && !strings.HasPrefix(b.Left[0], "linux.resources of the bundle") {
			t.Errorf("%s: %+v, %v", in, b, err)
		}
	}
}

// What a task says goes before what its bundle does, but takes no confinement back.
func TestOver(t *testing.T) {
	b, err := confine.ParseBundle([]byte(`{
		"ociVersion": "1.0.0", "root": {"path": "rootfs", "readonly": true},
		"process": {"user": {"umask": 63}, "noNewPrivileges": true, "oomScoreAdj": 9, "capabilities": {"bounding": ["CAP_KILL"]},
			"rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}, {"type": "RLIMIT_NPROC", "soft": 2, "hard": 2}]},
		"linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}], "seccomp": {"defaultAction": "SCMP_ACT_KILL"}}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	for task, want := range map[string]string{
		`{"bundle": "app"}`: `{"process":{"user":{"umask":63},"capabilities":{"bounding":["CAP_KILL"]},"rlimits":[{"type":"RLIMIT_CORE","soft":1,"hard":1},{"type":"RLIMIT_NPROC","soft":2,"hard":2}],"noNewPrivileges":true},` +
			`"namespaces":[{"type":"mount"},{"type":"pid"},{"type":"ipc"}],"root":{"path":"app/rootfs","readonly":true},"bundle":"app","seccomp":{"defaultAction":"SCMP_ACT_KILL"}}`,
		`{"bundle": ".", "namespaces": [{"type": "uts"}, {"type": "pid"}], "root": {"readonly": false}, "mounts": [{"destination": "/tmp", "type": "tmpfs"}], "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
			"process": {"user": {"umask": 7, "additionalGids": [5]}, "capabilities": {}, "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}], "oomScoreAdj": 3}}`: `{"process":{"user":{"umask":7,"additionalGids":[5]},"capabilities":{},` +
			`"rlimits":[{"type":"RLIMIT_CORE","soft":0,"hard":0},{"type":"RLIMIT_NPROC","soft":2,"hard":2}],"noNewPrivileges":true,"oomScoreAdj":3},` +
			`"namespaces":[{"type":"uts"},{"type":"pid"},{"type":"mount"},{"type":"ipc"}],"root":{"path":"rootfs","readonly":true},"mounts":[{"destination":"/tmp","type":"tmpfs"}],"bundle":".","seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}}`,
	} {
		asked, err := confine.Parse([]byte(task))
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(asked.Over(b))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", task, diff)
		}
	}
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte(usual))
	f.Add([]byte(`{"ociVersion": "1.0.0", "root": {"path": "r"}, "process": null, "linux": {"namespaces": [{}], "sysctl": {"a/b": ""}}, "mounts": [{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := confine.ParseBundle(data)
		if err != nil {
			if strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("more than one line: %v", err)
			}
			return
		}
		over := confine.Spec{Bundle: "app"}.Over(b)
		if !over.Has("mount") || !strings.HasPrefix(over.Root.Path, "app/") || strings.Contains(over.Root.Path, "..") && !strings.Contains(b.Spec.Root.Path, "..") {
			t.Errorf("%s is %+v", data, over)
		}
	})
}
