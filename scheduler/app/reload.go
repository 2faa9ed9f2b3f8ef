package app

import (
	"slices"

	"github.com/tandem-mesos/tandem/scheduler/reload"
)

// watcher reads anew what is in files.
func (o *Options) watcher(door *door, proof *credential) *reload.Watcher {
	sources := []reload.Source{
		{Name: "the tokens", Paths: given(o.Access.Tokens), Load: door.gate.LoadTokens},
		{Name: "the rules", Paths: given(o.Access.Rules), Load: door.gate.LoadRules},
		{Name: "the secret for Mesos", Paths: given(o.SecretFile), Load: proof.reload},
	}
	if door.certificates != nil {
		sources = append(sources, reload.Source{Name: "the API's certificates", Paths: door.certificates.Paths(), Load: door.certificates.Reload})
	}
	if proof.tls != nil {
		sources = append(sources, reload.Source{Name: "the certificates for Mesos", Paths: proof.tls.Paths(), Load: proof.tls.Reload})
	}
	sources = slices.DeleteFunc(sources, func(s reload.Source) bool { return len(s.Paths) == 0 })
	// What has no file to be looked at is read anew only when asked for.
	if o.Access.AuditLog != "" {
		sources = append(sources, reload.Source{Name: "the audit log's file", Load: door.writes.Reopen})
	}
	if o.Reread != nil {
		sources = append(sources, reload.Source{Name: "the config file", Load: o.Reread})
	}
	return reload.New(reload.Options{Sources: sources, Now: o.Reload, Log: o.Log.WithField("component", "reload")})
}

func given(path string) []string {
	if path == "" {
		return nil
	}
	return []string{path}
}
