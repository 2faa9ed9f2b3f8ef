package core

import (
	"fmt"
	"maps"
	"math"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// The core knows which secrets there are, and never what they say: a launch
// names them, and whoever sends the call puts their values in (secret.Reveal).
// So no value is in a record, an effect or a reader's view. What needs a secret
// that is not there waits for it.

// secretVariable stands for a secret in a task's environment.
func secretVariable(name, secret string) mesos.Environment_Variable {
	return mesos.Environment_Variable{
		Name: name, Type: mesos.Environment_Variable_SECRET.Enum(),
		Secret: &mesos.Secret{Type: mesos.Secret_REFERENCE, Reference: &mesos.Secret_Reference{Name: secret}},
	}
}

// onSecretsHeld lets instances be launched whose secrets have come.
func (c *Core) onSecretsHeld(s SecretsHeld) {
	before := map[*version]string{}
	for _, j := range c.jobsInOrder() {
		for _, v := range j.versions {
			if v.secretive {
				before[v] = c.lacking(v)
			}
		}
	}
	c.secrets = make(map[string]bool, len(s.Names))
	for _, name := range s.Names {
		c.secrets[name] = true
	}
	for _, j := range c.jobsInOrder() {
		for _, v := range j.versions {
			if v.secretive && c.lacking(v) != before[v] {
				c.tellLacking(v)
			}
		}
	}
}

// tellLacking writes into instances that wait for a version what it lacks now.
func (c *Core) tellLacking(v *version) {
	why := c.lacking(v)
	if v.why = why; why == "" {
		why = "waiting for an offer"
		c.offers.newWork = true
	}
	c.touch(v.job)
	waitingFor := v.waiting.first(math.MaxInt)
	if v.job.daemon() {
		for _, in := range v.job.instances {
			if in != nil && in.waitsIn == v {
				waitingFor = append(waitingFor, in)
			}
		}
	}
	for _, in := range waitingFor {
		c.setPhase(in, waiting, why)
	}
}

// lacking says which secret a version needs that is not there, or nothing.
func (c *Core) lacking(v *version) string {
	if !v.secretive {
		return ""
	}
	return c.lackingSecret(v.spec)
}

func (c *Core) lackingSecret(spec *tandemv1.Job) string {
	for _, w := range spec.Workloads {
		for _, name := range slices.Sorted(maps.Keys(w.Env)) {
			if secret := w.Env[name].GetSecret(); secret != "" && !c.secrets[secret] {
				return fmt.Sprintf("waiting for secret %s, which workload %s needs and the scheduler does not hold", secret, w.Name)
			}
		}
	}
	return ""
}

func namesSecrets(spec *tandemv1.Job) bool {
	for _, w := range spec.Workloads {
		for _, e := range w.Env {
			if e.GetSecret() != "" {
				return true
			}
		}
	}
	return false
}
