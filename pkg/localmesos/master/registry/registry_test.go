package registry

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	"github.com/mesos/mesos-go/api/v1/lib/quota"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

func example() *Registry {
	machine := func(name string) mesos.MachineID { return mesos.MachineID{Hostname: &name} }
	return &Registry{
		Master:      &mesos.MasterInfo{ID: "m", Port: new(uint32(5050))},
		Agents:      []mesos.AgentInfo{{ID: &mesos.AgentID{Value: "m-S0"}, Hostname: "a"}, {ID: &mesos.AgentID{Value: "m-S1"}, Hostname: "b"}},
		Unreachable: map[string]time.Time{"m-S2": time.Unix(100, 7), "m-S3": time.Unix(90, 0)},
		Gone:        map[string]time.Time{"m-S4": time.Unix(80, 0)},
		Deactivated: []string{"m-S1", "m-S2"},
		Draining:    map[string]mesos.DrainInfo{"m-S2": {State: mesos.DrainState_DRAINING}},
		Schedule: maintenance.Schedule{Windows: []maintenance.Window{{
			MachineIDs:     []mesos.MachineID{machine("a"), machine("b")},
			Unavailability: mesos.Unavailability{Start: mesos.TimeInfo{Nanoseconds: 5}},
		}}},
		Down:    []mesos.MachineID{machine("b")},
		Quotas:  []quota.QuotaConfig{{Role: "r", Limits: map[string]mesos.Value_Scalar{"cpus": {Value: 2}}}},
		Weights: []mesos.WeightInfo{{Role: new("r"), Weight: 3}},
	}
}

func TestWhatIsEncodedIsDecoded(t *testing.T) {
	for name, want := range map[string]*Registry{
		"everything": example(),
		"nothing":    {Unreachable: map[string]time.Time{}, Gone: map[string]time.Time{}, Draining: map[string]mesos.DrainInfo{}},
	} {
		t.Run(name, func(t *testing.T) {
			stored, err := want.Encode()
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(stored)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestWhatCannotBeReadIsRefused(t *testing.T) {
	telepath := new(wire.Fields)
	telepath.Nested(fieldCapabilities, func() { telepath.Text(fieldInfo, "TELEPATHY") })
	nameless := new(wire.Fields)
	nameless.Nested(fieldAgents, func() {
		nameless.Nested(fieldItem, func() { nameless.Message(fieldInfo, &mesos.AgentInfo{Hostname: "a"}) })
	})
	whole, err := example().Encode()
	if err != nil {
		t.Fatal(err)
	}
	capable, errCapable := telepath.Encoded()
	noID, errNoID := nameless.Encoded()
	if err := errors.Join(errCapable, errNoID); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		stored []byte
		want   string
	}{
		"another capability":  {capable, `the capability "TELEPATHY", which this one does not have`},
		"an agent without ID": {noID, "an agent has no ID"},
		"torn":                {whole[:len(whole)-1], "this is no registry of a master: "},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Decode(c.stored); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, not one with %q", err, c.want)
			}
		})
	}
}

// FuzzDecode: whatever is in the file, reading it ends with a registry, which can
// be stored again, or with an error.
func FuzzDecode(f *testing.F) {
	whole, err := example().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, stored []byte) {
		r, err := Decode(stored)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be stored: %v", err)
		}
		if _, err := Decode(again); err != nil {
			t.Fatalf("what was stored cannot be read: %v", err)
		}
	})
}
