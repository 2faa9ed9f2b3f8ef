package workload_test

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/confine"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes namespaces and takes capabilities")
	}
}

const (
	netBind = "CAP_NET_BIND_SERVICE" // number 10
	ptrace  = "CAP_SYS_PTRACE"       // number 19
)

func TestCapabilitiesAreThoseAskedFor(t *testing.T) {
	needRoot(t)
	all := []string{netBind, ptrace}
	few := []string{netBind}
	for _, c := range []struct {
		name, user string
		asked      *specs.LinuxCapabilities
		want       string
	}{
		{"none for root", "", &specs.LinuxCapabilities{}, "Inh 0 Prm 0 Eff 0 Bnd 0 Amb 0"},
		{"some for root", "", &specs.LinuxCapabilities{Bounding: all, Permitted: few, Effective: few}, "Inh 0 Prm 80400 Eff 80400 Bnd 80400 Amb 0"},
		{"some for another, who keeps what is ambient", "nobody",
			&specs.LinuxCapabilities{Bounding: all, Permitted: few, Effective: few, Inheritable: few, Ambient: few}, "Inh 400 Prm 400 Eff 400 Bnd 80400 Amb 400"},
		{"another keeps nothing else", "nobody", &specs.LinuxCapabilities{Bounding: all, Permitted: few}, "Inh 0 Prm 0 Eff 0 Bnd 80400 Amb 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnv(t, setup{"", none})
			s := e.shell(`while read name value; do case $name in Cap*) printf "%s %x " "$name" "0x$value";; esac; done </proc/self/status`)
			s.User, s.Capabilities = c.user, c.asked
			if exit := e.run(s); !exit.Status.Success() {
				t.Fatalf("exit = %+v", exit)
			}
			got := strings.TrimSpace(strings.NewReplacer("Cap", "", ":", "").Replace(e.output("stdout")))
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestNamespacesAreItsOwn(t *testing.T) {
	needRoot(t)
	each(t, func(t *testing.T, e *env) {
		own := func(kind string) string {
			id, err := os.Readlink("/proc/self/ns/" + kind)
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		s := e.shell(`for kind in pid mnt ipc uts net; do readlink /proc/self/ns/$kind; done; echo $$; ls -d /proc/[0-9]* | wc -l; hostname of-its-own; exit 4`)
		s.View.Namespaces = []specs.LinuxNamespaceType{specs.PIDNamespace, specs.MountNamespace, specs.IPCNamespace, specs.UTSNamespace}
		hostname, _ := os.Hostname()
		if exit := e.run(s); exit.Status != (workload.Status{Code: 4}) {
			t.Fatalf("exit = %+v: %s", exit, e.output("stderr"))
		}
		lines := strings.Split(e.output("stdout"), "\n")
		for i, kind := range []string{"pid", "mnt", "ipc", "uts"} {
			if lines[i] == own(kind) || !strings.HasPrefix(lines[i], kind) {
				t.Errorf("its %s namespace is %s, this one's %s", kind, lines[i], own(kind))
			}
		}
		if lines[4] != own("net") {
			t.Errorf("its network is another: %s", lines[4])
		}
		if lines[5] != "1" || len(lines[6]) != 1 {
			t.Errorf("it is process %s, and sees %s", lines[5], lines[6])
		}
		if now, _ := os.Hostname(); now != hostname {
			t.Errorf("the machine is called %q now", now)
		}
	})
}

// All of the tree dies with the first process of the namespace, and a kill ends
// what ignores signals there.
func TestNamespaceOfProcessesIsKilledAsAWhole(t *testing.T) {
	needRoot(t)
	each(t, func(t *testing.T, e *env) {
		s := e.shell(`(setsid sleep 1000 &) ; touch ready; while :; do sleep 0.01; done`)
		s.View.Namespaces = []specs.LinuxNamespaceType{specs.PIDNamespace, specs.MountNamespace}
		p := e.start(s)
		e.until("the start", func() bool { return e.exists("ready") })
		p.Kill()
		if exit := e.wait(p); exit.Status.Signal != 9 {
			t.Errorf("exit = %+v", exit)
		}
	})
}

func TestRootThatCannotBeWrittenTo(t *testing.T) {
	needRoot(t)
	e := newEnv(t, setup{"", none})
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	s := e.shell(`touch here && echo own; touch /etc/tandem-was-here 2>&1 | grep -o Read-only; : >/dev/null && echo null
		touch /mnt/there && echo mounted
		while read _ where type options _; do [ $where != /mnt ] || echo $type $options; done </proc/mounts`)
	s.View = workload.View{
		Namespaces:   []specs.LinuxNamespaceType{specs.MountNamespace},
		ReadonlyRoot: true,
		Mounts:       []confine.Mount{{Destination: "/mnt", Type: "tmpfs", Options: []string{"nosuid", "nodev", "size=1m"}}},
	}
	if exit := e.run(s); !exit.Status.Success() {
		t.Fatalf("exit = %+v: %s", exit, e.output("stderr"))
	}
	got := e.output("stdout")
	if !strings.HasPrefix(got, "own\nRead-only\nnull\nmounted\ntmpfs rw,nosuid,nodev,") || !strings.Contains(got, "size=1024k") {
		t.Errorf("got %q", got)
	}
	if after, err := os.ReadFile("/proc/self/mountinfo"); err != nil || string(after) != string(before) {
		t.Errorf("the machine's mounts have changed: %v\n%s", err, after)
	}
	if _, err := os.Stat("/mnt/there"); err == nil {
		t.Error("the machine has the file")
	}
}

func TestViewsThatCannotBe(t *testing.T) {
	needRoot(t)
	e := newEnv(t, setup{"", none})
	for _, c := range []struct {
		target, want string
	}{
		{e.dir, "would hide its own directory"},
		{"/no/such/place", "cannot mount a tmpfs on /no/such/place: no such file or directory"},
	} {
		s := e.shell("true")
		s.View.Namespaces = []specs.LinuxNamespaceType{specs.MountNamespace}
		s.View.Mounts = []confine.Mount{{Destination: c.target, Type: "tmpfs"}}
		if _, err := e.launcher.Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("err = %v, want something about %q", err, c.want)
		}
	}
}

func TestGroupsBesideTheUsers(t *testing.T) {
	needRoot(t)
	e := newEnv(t, setup{"", none})
	for _, user := range []string{"", "nobody"} {
		s := e.shell("id -G")
		s.User, s.Groups = user, []int{4242}
		s.Stdout = e.dir + "/groups" + user
		e.run(s)
		if got := strings.Fields(e.output("groups" + user)); got[len(got)-1] != "4242" {
			t.Errorf("%q: groups = %v", user, got)
		}
	}
}
