package task

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/confine"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func capabilityInfo(all ...mesos.CapabilityInfo_Capability) *mesos.CapabilityInfo {
	return &mesos.CapabilityInfo{Capabilities: all}
}

func rlimit(of mesos.RLimitInfo_RLimit_Type, soft, hard uint64) mesos.RLimitInfo_RLimit {
	return mesos.RLimitInfo_RLimit{Type: of, Soft: &soft, Hard: &hard}
}

// Other schedulers confine a task by its container, as for Mesos's default executor.
func TestAContainerConfinesItsTask(t *testing.T) {
	chown, bind := mesos.CapabilityInfo_CHOWN, mesos.CapabilityInfo_NET_BIND_SERVICE
	none, one, both := []string(nil), []string{"CAP_NET_BIND_SERVICE"}, []string{"CAP_CHOWN", "CAP_NET_BIND_SERVICE"}
	for name, c := range map[string]struct {
		container *mesos.ContainerInfo
		settings  string
		want      *confine.Process
	}{
		"none":           {nil, "", nil},
		"an empty one":   {&mesos.ContainerInfo{}, "", nil},
		"shared cgroups": {&mesos.ContainerInfo{LinuxInfo: &mesos.LinuxInfo{SharePIDNamespace: proto.Bool(true)}}, "", nil},
		"effective capabilities": {
			&mesos.ContainerInfo{LinuxInfo: &mesos.LinuxInfo{EffectiveCapabilities: capabilityInfo(bind)}}, "",
			&confine.Process{Capabilities: &specs.LinuxCapabilities{Bounding: one, Effective: one, Permitted: one, Inheritable: one, Ambient: one}},
		},
		"by their old name": {
			&mesos.ContainerInfo{LinuxInfo: &mesos.LinuxInfo{CapabilityInfo: capabilityInfo(bind)}}, "",
			&confine.Process{Capabilities: &specs.LinuxCapabilities{Bounding: one, Effective: one, Permitted: one, Inheritable: one, Ambient: one}},
		},
		"no capability at all": {
			&mesos.ContainerInfo{LinuxInfo: &mesos.LinuxInfo{EffectiveCapabilities: capabilityInfo()}}, "",
			&confine.Process{Capabilities: &specs.LinuxCapabilities{}},
		},
		"fewer than it may have": {
			&mesos.ContainerInfo{LinuxInfo: &mesos.LinuxInfo{EffectiveCapabilities: capabilityInfo(bind), BoundingCapabilities: capabilityInfo(chown, bind)}}, "",
			&confine.Process{Capabilities: &specs.LinuxCapabilities{Bounding: both, Effective: one, Permitted: one, Inheritable: both, Ambient: one}},
		},
		"what it may have only": {
			&mesos.ContainerInfo{LinuxInfo: &mesos.LinuxInfo{BoundingCapabilities: capabilityInfo(bind)}}, "",
			&confine.Process{Capabilities: &specs.LinuxCapabilities{Bounding: one, Effective: one, Permitted: one, Inheritable: one}},
		},
		"a capability that came later": {
			&mesos.ContainerInfo{LinuxInfo: &mesos.LinuxInfo{EffectiveCapabilities: capabilityInfo(1039)}}, "",
			&confine.Process{Capabilities: &specs.LinuxCapabilities{
				Bounding: []string{"CAP_BPF"}, Effective: []string{"CAP_BPF"}, Permitted: []string{"CAP_BPF"}, Inheritable: []string{"CAP_BPF"}, Ambient: []string{"CAP_BPF"},
			}},
		},
		"settings go before it": {
			&mesos.ContainerInfo{
				LinuxInfo:  &mesos.LinuxInfo{EffectiveCapabilities: capabilityInfo(bind)},
				RlimitInfo: &mesos.RLimitInfo{Rlimits: []mesos.RLimitInfo_RLimit{rlimit(mesos.RLimitInfo_RLimit_RLMT_CORE, 1, 2), rlimit(mesos.RLimitInfo_RLimit_RLMT_NOFILE, 10, 20)}},
			},
			`{"process": {"capabilities": {}, "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 7, "hard": 7}]}}`,
			&confine.Process{
				Capabilities: &specs.LinuxCapabilities{Bounding: none},
				Rlimits:      []confine.Rlimit{{Type: "RLIMIT_NOFILE", Soft: 7, Hard: 7}, {Type: "RLIMIT_CORE", Soft: 1, Hard: 2}},
			},
		},
		"no limit": {
			&mesos.ContainerInfo{RlimitInfo: &mesos.RLimitInfo{Rlimits: []mesos.RLimitInfo_RLimit{{Type: mesos.RLimitInfo_RLimit_RLMT_MEMLOCK}}}}, "",
			&confine.Process{Rlimits: []confine.Rlimit{{Type: "RLIMIT_MEMLOCK", Soft: confine.Unlimited, Hard: confine.Unlimited}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := askedOf(&mesos.TaskInfo{Container: c.container}, &tandemv1.TaskSettings{OciConfinement: []byte(c.settings)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Process); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if problems := got.Check(); len(problems) > 0 {
				t.Errorf("it cannot be meant: %v", problems)
			}
		})
	}
}

// Every one that Mesos knows has a name here, and each a name of its own.
func TestMesosNamesAreTheKernels(t *testing.T) {
	for number, name := range mesos.CapabilityInfo_Capability_name {
		got, err := capabilityNames(capabilityInfo(mesos.CapabilityInfo_Capability(number)))
		if known := number != int32(mesos.CapabilityInfo_UNKNOWN); known != (err == nil) || known && got[0] != "CAP_"+name {
			t.Errorf("capability %s is %v, %v", name, got, err)
		}
	}
	for number, name := range mesos.RLimitInfo_RLimit_Type_name {
		got, err := rlimitsOf(&mesos.RLimitInfo{Rlimits: []mesos.RLimitInfo_RLimit{{Type: mesos.RLimitInfo_RLimit_Type(number)}}}, nil)
		if known := name != "UNKNOWN"; known != (err == nil) || known && got[0].Type != "RLIMIT_"+strings.TrimPrefix(name, "RLMT_") {
			t.Errorf("limit %s is %v, %v", name, got, err)
		}
	}
}

func TestContainersThatCannotBeMeant(t *testing.T) {
	one := uint64(1)
	limits := func(r mesos.RLimitInfo_RLimit) *mesos.ContainerInfo {
		return &mesos.ContainerInfo{RlimitInfo: &mesos.RLimitInfo{Rlimits: []mesos.RLimitInfo_RLimit{r}}}
	}
	for want, container := range map[string]*mesos.ContainerInfo{
		"which is not in bounding_capabilities": {LinuxInfo: &mesos.LinuxInfo{
			EffectiveCapabilities: capabilityInfo(mesos.CapabilityInfo_CHOWN), BoundingCapabilities: capabilityInfo(mesos.CapabilityInfo_KILL),
		}},
		"give the latter alone": {LinuxInfo: &mesos.LinuxInfo{
			EffectiveCapabilities: capabilityInfo(), CapabilityInfo: capabilityInfo(),
		}},
		"a capability that this executor does not know: 1999":       {LinuxInfo: &mesos.LinuxInfo{BoundingCapabilities: capabilityInfo(1999)}},
		"a capability that this executor does not know: 7":          {LinuxInfo: &mesos.LinuxInfo{EffectiveCapabilities: capabilityInfo(7)}},
		"a resource limit that this executor does not know: 99":     limits(mesos.RLimitInfo_RLimit{Type: 99}),
		"RLMT_CORE has one of soft and hard":                        limits(mesos.RLimitInfo_RLimit{Type: mesos.RLimitInfo_RLimit_RLMT_CORE, Hard: &one}),
		"its linux settings are not those of the OCI runtime speci": nil,
	} {
		settings := &tandemv1.TaskSettings{}
		if container == nil {
			settings.OciConfinement = []byte("{")
		}
		if _, err := askedOf(&mesos.TaskInfo{Container: container}, settings); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
