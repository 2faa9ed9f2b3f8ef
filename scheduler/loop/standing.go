package loop

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/match"
)

// standing is how the scheduler stands with Mesos, as the loop sees it go by:
// whether it is subscribed, which offers it holds and since when, and how good
// a neighbour it has been.
type standing struct {
	// view is what was last shown.
	view *tandemv1.FrameworkView
	// changed and told gather what news returns.
	changed, told bool
	// since is when each offer that is held came.
	since map[string]time.Time
	// free is what agents had free when they were last offered.
	free offered

	// pages is the scheme of masters' pages.
	pages                        string
	frameworkID, master, problem string
	subscribedAt                 time.Time
	suppressed                   bool
	received, declined, used     uint64
	revives, suppresses          uint64
	// held is how long offers were held taken together, and longest the longest
	// time of any.
	held, longest time.Duration
	// refused sums the filters of the offers that were declined, in seconds.
	refused float64
}

func newStanding(first *tandemv1.FrameworkView, secure bool) standing {
	pages := "http"
	if secure {
		pages = "https"
	}
	return standing{
		pages: pages,
		view:  first, since: map[string]time.Time{}, free: offered{agents: map[string]match.Amount{}},
		frameworkID: first.FrameworkId, problem: first.Problem,
	}
}

func (s *standing) subscribed(now time.Time, c core.Subscribed, master string) {
	s.frameworkID, s.master, s.problem, s.subscribedAt = c.FrameworkID.Value, master, "", now
	s.suppressed = c.Suppressed
	clear(s.since)
	s.free.clear()
	s.changed, s.told = true, true
}

func (s *standing) disconnected(problem string) {
	if s.master == "" && s.problem == problem {
		return
	}
	s.master, s.problem = "", problem
	clear(s.since)
	s.changed, s.told = true, true
}

func (s *standing) offered(now time.Time, offers []mesos.Offer) {
	for i := range offers {
		s.since[offers[i].ID.Value] = now
	}
	s.received += uint64(len(offers))
	s.free.take(offers)
	s.changed = true
}

// agentGone forgets what an agent had free.
func (s *standing) agentGone(id string) {
	s.free.gone(id)
	s.changed = true
}

// rescinded returns for how long the offer was held, or nothing.
func (s *standing) rescinded(now time.Time, id mesos.OfferID) []time.Duration {
	return s.release(now, []mesos.OfferID{id})
}

// called takes a call in, and returns for how long the offers in it were held.
func (s *standing) called(now time.Time, c *scheduler.Call) []time.Duration {
	switch c.Type {
	case scheduler.Call_ACCEPT:
		s.changed = true
		ids := c.GetAccept().GetOfferIDs()
		if len(c.GetAccept().GetOperations()) == 0 {
			s.declined += uint64(len(ids))
		} else {
			s.used += uint64(len(ids))
		}
		return s.release(now, ids)
	case scheduler.Call_DECLINE:
		s.changed = true
		ids := c.GetDecline().GetOfferIDs()
		s.declined += uint64(len(ids))
		s.refused += c.GetDecline().GetFilters().GetRefuseSeconds() * float64(len(ids))
		return s.release(now, ids)
	case scheduler.Call_REVIVE:
		s.revives++
		s.changed, s.told = true, s.told || s.suppressed
		s.suppressed = false
	case scheduler.Call_SUPPRESS:
		s.suppresses++
		s.changed, s.told = true, s.told || !s.suppressed
		s.suppressed = true
	}
	return nil
}

func (s *standing) release(now time.Time, ids []mesos.OfferID) []time.Duration {
	var held []time.Duration
	for _, id := range ids {
		if since, ok := s.since[id.Value]; ok {
			d := now.Sub(since)
			held = append(held, d)
			s.held += d
			s.longest = max(s.longest, d)
			delete(s.since, id.Value)
		}
	}
	return held
}

// news returns the view as it is now, whether it has changed since the last
// call, and whether the change is worth telling those who watch.
func (s *standing) news() (view *tandemv1.FrameworkView, told, changed bool) {
	told, changed = s.told, s.changed
	if !changed {
		return s.view, false, false
	}
	s.told, s.changed = false, false
	v := &tandemv1.FrameworkView{
		FrameworkId:    s.frameworkID,
		Name:           s.view.Name,
		Roles:          s.view.Roles,
		Principal:      s.view.Principal,
		ExecutorDigest: s.view.ExecutorDigest,
		Master:         s.master,
		Subscribed:     s.master != "",
		Problem:        s.problem,
		Suppressed:     s.suppressed,
		OffersReceived: s.received,
		OffersDeclined: s.declined,
		OffersUsed:     s.used,
		Revives:        s.revives,
		Suppresses:     s.suppresses,

		OfferSeconds:        s.held.Seconds(),
		LongestOfferSeconds: s.longest.Seconds(),
		LastOffered:         s.free.view(),
		AgentsOffered:       int32(len(s.free.agents)),
		// The last master's, when there is none now.
		MesosFrameworksUrl: s.view.MesosFrameworksUrl,
	}
	if s.declined > 0 {
		v.MeanRefuseSeconds = s.refused / float64(s.declined)
	}
	if v.Subscribed {
		v.SubscribedSince = timestamppb.New(s.subscribedAt)
		v.MesosFrameworksUrl = s.pages + "://" + s.master + "/#/frameworks"
	}
	s.view = v
	return v, told, true
}
