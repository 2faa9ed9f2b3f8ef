package loop

import (
	"context"
	"slices"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/secret"
)

// secretsInterval is how soon a secret that is new is known of. One that has
// changed is used by the very next launch.
const secretsInterval = 2 * time.Second

// watchSecrets tells the core, until ctx ends, whenever there are other secrets.
func (l *Loop) watchSecrets(ctx context.Context, held []string) {
	tick := time.NewTicker(secretsInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			held = l.lookAtSecrets(ctx, held)
		case <-ctx.Done():
			return
		}
	}
}

// lookAtSecrets tells the core which secrets there are where they are not those
// that were held, and returns them. While they cannot be listed it holds on to
// what was there.
func (l *Loop) lookAtSecrets(ctx context.Context, held []string) []string {
	names, err := l.opt.Secrets.Names()
	if l.sayOnce(err); err != nil {
		return held
	}
	if !slices.Equal(names, held) {
		l.put(ctx, input{core: core.SecretsHeld{Names: names}})
	}
	return names
}

// sayOnce logs why the secrets cannot be listed, when that is news.
func (l *Loop) sayOnce(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != l.secretsProblem {
		l.opt.Log.Warnf("%s; those known before are gone on with", text)
	}
	l.secretsProblem = text
}

// reveal puts the values of secrets into a call that names some. They are read
// now, and are nowhere but in the call that is returned.
func (s *sender) reveal(call *scheduler.Call) (*scheduler.Call, error) {
	if s.secrets == nil {
		return call, nil
	}
	return secret.Reveal(call, s.secrets.Value)
}
