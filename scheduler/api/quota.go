package api

import (
	"context"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

// tellWhy adds to an explanation what the core does not know, and its words.
func (s *service) tellWhy(ctx context.Context, x *tandemv1.Explanation) {
	s.addQuotas(ctx, x)
	if x.GetSilentSince() != nil {
		x.Silence = present.Silence(x)
	}
}

// addQuotas adds the quotas that bind the framework's roles where something finds no
// room, or no offers come. One that has too little left stands first in the summary: a
// master offers no more of an agent than that, so that it seems to be the agents that
// lack it.
func (s *service) addQuotas(ctx context.Context, x *tandemv1.Explanation) {
	if s.server.opt.Quotas == nil || x.GetWaiting() <= x.GetPlaceable() && x.GetSilentSince() == nil {
		return
	}
	quotas, err := s.server.opt.Quotas.Quotas(ctx)
	if err != nil {
		x.QuotasUnknown = err.Error()
		return
	}
	for _, q := range quotas {
		q = proto.CloneOf(q) // others are told of it, too
		for _, l := range q.Limits {
			left := max(0, resource.Thousandths(l.Limit)-resource.Thousandths(l.Consumed))
			l.Missing = max(0, resource.Thousandths(x.Needs[l.Resource])-left).Float()
		}
		x.Quotas = append(x.Quotas, q)
	}
	if short := present.ShortOfQuota(x); short != "" {
		x.Summary = strings.TrimSuffix(short+"; "+x.Summary, "; ")
	}
}
