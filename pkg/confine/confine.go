package confine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Spec is what a process is confined to. The zero Spec asks for nothing.
type Spec struct {
	Process    *Process    `json:"process,omitempty"`
	Namespaces []Namespace `json:"namespaces,omitempty"`
	Root       *Root       `json:"root,omitempty"`
	Mounts     []Mount     `json:"mounts,omitempty"`
	// Bundle is a directory below the task's, with a config.json that says more, and
	// a root file system; empty for none.
	Bundle string `json:"bundle,omitempty"`
	// Seccomp filters system calls. It takes a root of its own.
	Seccomp *specs.LinuxSeccomp `json:"seccomp,omitempty"`
}

// Process is what of itself the process is to have.
type Process struct {
	User *User `json:"user,omitempty"`
	// Capabilities are the sets that the program begins with; nil leaves them to
	// the user: all for root, none for others.
	Capabilities *specs.LinuxCapabilities `json:"capabilities,omitempty"`
	Rlimits      []Rlimit                 `json:"rlimits,omitempty"`
	// NoNewPrivileges keeps the program from gaining privileges by executing
	// set-user-ID files.
	NoNewPrivileges bool `json:"noNewPrivileges,omitempty"`
	// OOMScoreAdj is from -1000 to 1000.
	OOMScoreAdj *int `json:"oomScoreAdj,omitempty"`
}

// User adds to the workload's user, which is named elsewhere.
type User struct {
	Umask *uint32 `json:"umask,omitempty"`
	// AdditionalGids are groups beside those that the user has on the agent.
	AdditionalGids []uint32 `json:"additionalGids,omitempty"`
}

// Rlimit is a resource limit, such as RLIMIT_CORE.
type Rlimit struct {
	Type string `json:"type"`
	Soft Amount `json:"soft"`
	Hard Amount `json:"hard"`
}

// Unlimited is the amount of no limit.
const Unlimited Amount = -1

// Amount is that of a resource limit.
type Amount int64

// Kernel returns the amount as the kernel has it.
func (a Amount) Kernel() uint64 { return uint64(a) } // RLIM_INFINITY is all ones

// UnmarshalJSON takes the kernel's number for no limit as well, as it stands in
// OCI bundles.
func (a *Amount) UnmarshalJSON(data []byte) error {
	if string(data) == "18446744073709551615" {
		*a = Unlimited
		return nil
	}
	var n int64
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	*a = Amount(n)
	return nil
}

// Namespace is one of its own.
type Namespace struct {
	Type specs.LinuxNamespaceType `json:"type"`
}

// Root is the file system as a whole.
type Root struct {
	// Path is a directory below the task's, which is to be the root; empty for the
	// machine's own.
	Path string `json:"path,omitempty"`
	// Readonly leaves only the task's directory and its mounts writable.
	Readonly bool `json:"readonly,omitempty"`
}

// Mount is an empty file system in memory that ends with the workload.
type Mount struct {
	Destination string   `json:"destination"`
	Type        string   `json:"type"`
	Options     []string `json:"options,omitempty"`
}

// Parse reads a Spec from JSON, and checks it. Empty data is a zero Spec. Fields that
// a Spec does not have are refused.
func Parse(data []byte) (Spec, error) {
	var s Spec
	if len(data) == 0 {
		return s, nil
	}
	if err := Unmarshal(data, &s); err != nil {
		return Spec{}, fmt.Errorf("its linux settings are not those of the OCI runtime specification that Tandem knows: %w", err)
	}
	for _, p := range s.Check() {
		return Spec{}, fmt.Errorf("its linux.%s %s", p.Field, p.Text)
	}
	return s, nil
}

// Unmarshal reads one JSON value, and refuses fields that are not known: what is not
// known here would not be done.
func Unmarshal(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && len(bytes.TrimSpace(data[d.InputOffset():])) > 0 {
		err = errors.New("more than one JSON value")
	}
	return err
}

// HasRoot says whether a root file system of its own is asked for.
func (s *Spec) HasRoot() bool { return s.Bundle != "" || s.Root != nil && s.Root.Path != "" }

// Has says whether a namespace of the type is asked for.
func (s *Spec) Has(of specs.LinuxNamespaceType) bool {
	return slices.Contains(s.Namespaces, Namespace{of})
}
