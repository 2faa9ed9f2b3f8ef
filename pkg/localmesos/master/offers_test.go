package master

import (
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/master/allocator"
)

// whole is an offer of the whole of the usual agent.
const whole = "ports:31000-32000,cpus:8,mem:8192,disk:20000"

func decline(offer, filters string) string {
	return fmt.Sprintf(`"type":"DECLINE","decline":{"offer_ids":[{"value":"%s-%s"}]%s}`, masterID, offer, filters)
}

func TestFilters(t *testing.T) {
	for _, tt := range []struct {
		name    string
		filters string
		quiet   time.Duration // until the offer comes again
	}{
		{"by default for five seconds", ``, 5 * time.Second},
		{"empty ones likewise", `,"filters":{}`, 5 * time.Second},
		{"negative ones likewise", `,"filters":{"refuse_seconds":-1}`, 5 * time.Second},
		{"absurd ones likewise", `,"filters":{"refuse_seconds":1e300}`, 5 * time.Second},
		{"zero until the next allocation", `,"filters":{"refuse_seconds":0}`, time.Second},
		{"as asked for", `,"filters":{"refuse_seconds":2.5}`, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				w.agent("127.0.0.1")
				s := w.subscribe(exampleInfo)
				w.expect(s.transcript(), "OFFERS O0 S0 example "+whole)
				s.must(decline("O0", tt.filters))
				w.pass(tt.quiet - time.Millisecond)
				w.expect(s.transcript(), "")
				w.pass(time.Millisecond)
				w.expect(s.transcript(), "OFFERS O1 S0 example "+whole)
			})
		})
	}
}

func TestAcceptWithoutFiltersRefusesTheRest(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		s.must(strings.Replace(accept("O0", s.group(a, "exec-1", "t1")), `,"filters":{"refuse_seconds":0}`, "", 1))
		w.pass(4 * time.Second)
		w.expect(s.transcript(), "")
		w.pass(time.Second)
		w.expect(s.transcript(), "OFFERS O1 S0 example ports:31000-32000,cpus:7.7,mem:8096,disk:19958 +exec-1")
	})
}

func TestReviveAndSuppress(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		s.must(decline("O0", `,"filters":{"refuse_seconds":3600}`))
		w.pass(10 * time.Second)
		w.expect(s.transcript(), "")
		s.must(`"type":"REVIVE"`) // at once
		w.expect(s.transcript(), "OFFERS O1 S0 example "+whole)
		// SUPPRESS leaves the offer that is out.
		s.must(`"type":"SUPPRESS"`)
		s.must(decline("O1", `,"filters":{"refuse_seconds":0}`))
		w.pass(4 * time.Second)
		w.expect(s.transcript(), "")
		s.must(`"type":"REVIVE","revive":{"roles":["unknown"]}`)
		w.expect(s.transcript(), "")
		s.must(`"type":"REVIVE","revive":{"roles":["example"]}`)
		w.expect(s.transcript(), "OFFERS O2 S0 example "+whole)
	})
}

func TestSuppressedRoles(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1")
		s := w.open(`{"type":"SUBSCRIBE","subscribe":{"suppressed_roles":["r1","r2"],"framework_info":{` +
			strings.Replace(exampleInfo, `"example"]`, `"r1","r2"]`, 1) + `}}}`)
		s.started()
		w.pass(3 * time.Second)
		w.expect(s.transcript(), "")
		// A role that the framework has not spoils the call for the others.
		s.must(`"type":"REVIVE","revive":{"roles":["r1","r3"]}`)
		w.expect(s.transcript(), "")
		s.must(`"type":"REVIVE","revive":{"roles":["r1"]}`)
		w.expect(s.transcript(), "OFFERS O0 S0 r1 "+whole)
		s.must(`"type":"SUPPRESS","suppress":{"roles":["r1","r3"]}`)
		s.must(decline("O0", `,"filters":{"refuse_seconds":0}`))
		w.pass(time.Second)
		w.expect(s.transcript(), "OFFERS O1 S0 r1 "+whole)
	})
}

func TestAnyFrameworkDeclinesAnyOffer(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		other := w.subscribe(strings.ReplaceAll(exampleInfo, "example", "other"))
		other.must(decline("O0", `,"filters":{"refuse_seconds":3600}`))
		w.pass(time.Second)
		w.expect(s.transcript(), "")
		w.expect(other.transcript(), "OFFERS O1 S0 other "+whole)
	})
}

func TestOfferTimeout(t *testing.T) {
	inWorld(t, Options{OfferTimeout: 9500 * time.Millisecond}, func(w *world) {
		w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		w.pass(9500 * time.Millisecond)
		w.expect(s.transcript(), "RESCIND O0")
		w.pass(time.Second)
		w.expect(s.transcript(), "OFFERS O1 S0 example "+whole)
	})
}

func TestMinAllocatable(t *testing.T) {
	small := func(w *world) string {
		w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		// All but 0.005 cpus, 8 mem and the ports.
		task := fmt.Sprintf(`{"name":"big","task_id":{"value":"big"},"agent_id":{"value":"%s-S0"},"command":{"value":"true"},"resources":[%s]}`, masterID, resourcesOf(7.995, 8184, 20000))
		s.must(accept("O0", `{"type":"LAUNCH","launch":{"task_infos":[`+task+`]}}`))
		w.pass(2 * time.Second)
		return s.transcript()
	}
	inWorld(t, Options{}, func(w *world) { w.expect(small(w), "") })
	inWorld(t, Options{MinAllocatableResources: []allocator.Quantities{}}, func(w *world) {
		w.expect(small(w), "OFFERS O1 S0 example ports:31000-32000,cpus:0.005,mem:8")
	})
}

func TestTwoFrameworksShare(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		for _, hostname := range []string{"a1", "a2", "a3", "a4"} {
			w.agent(hostname)
		}
		count := func(s *fakeScheduler) int { return strings.Count(s.transcript(), "S") - strings.Count("OFFERS", "S") }
		first := w.subscribe(exampleInfo)
		if n := count(first); n != 4 {
			t.Errorf("alone, the first is offered %d agents", n)
		}
		second := w.subscribe(strings.ReplaceAll(exampleInfo, "example", "other"))
		for _, offer := range []string{"O0", "O1", "O2", "O3"} {
			first.must(decline(offer, `,"filters":{"refuse_seconds":0}`))
		}
		w.pass(time.Second)
		if a, b := count(first), count(second); a != 2 || b != 2 {
			t.Errorf("together they are offered %d and %d agents", a, b)
		}
	})
}

func TestOfferConstraints(t *testing.T) {
	constraint := func(selector, predicate string) string {
		return fmt.Sprintf(`"offer_constraints":{"role_constraints":{"example":{"groups":[{"attribute_constraints":[{"selector":{%s},"predicate":{%s}}]}]}}}`, selector, predicate)
	}
	for _, tt := range []struct {
		selector, predicate string
		offered             bool
	}{
		{`"attribute_name":"rack"`, `"text_equals":{"value":"r1"}`, true},
		{`"attribute_name":"rack"`, `"text_equals":{"value":"r2"}`, false},
		{`"attribute_name":"rack"`, `"text_not_equals":{"value":"r2"}`, true},
		{`"attribute_name":"rack"`, `"text_matches":{"regex":"r[0-9]"}`, true},
		{`"attribute_name":"rack"`, `"text_matches":{"regex":"r"}`, false},
		{`"attribute_name":"rack"`, `"text_not_matches":{"regex":"r.*"}`, false},
		{`"attribute_name":"gpu"`, `"text_not_matches":{"regex":".*"}`, true},
		{`"attribute_name":"zone"`, `"exists":{}`, true},
		{`"attribute_name":"zone"`, `"not_exists":{}`, false},
		{`"pseudoattribute_type":"HOSTNAME"`, `"text_matches":{"regex":"127\\..*"}`, true},
		{`"pseudoattribute_type":"ZONE"`, `"exists":{}`, false},
	} {
		inWorld(t, Options{}, func(w *world) {
			w.agent("127.0.0.1")
			s := w.open(`{"type":"SUBSCRIBE","subscribe":{` + constraint(tt.selector, tt.predicate) + `,"framework_info":{` + exampleInfo + `}}}`)
			s.started()
			w.pass(2 * time.Second)
			if got := s.transcript() != ""; got != tt.offered {
				t.Errorf("%s %s: offered %v", tt.selector, tt.predicate, got)
			}
			if shown := w.get("/frameworks"); !strings.Contains(shown, constraint(tt.selector, tt.predicate)) {
				t.Errorf("/frameworks shows %s", shown)
			}
		})
	}
}

func TestInvalidOffers(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		b := w.agent("127.0.0.2")
		s := w.subscribe(exampleInfo)
		s.transcript() // O0 of a, O1 of b
		try := func(offers string) string {
			s.must(accept(offers, s.group(a, "exec-1", "t1", "t2")))
			return s.transcript()
		}
		dropped := func(why string) string {
			const line = "UPDATE %s TASK_DROPPED SOURCE_MASTER REASON_INVALID_OFFERS Task launched with invalid offers: %s agent_id=S0\n"
			return fmt.Sprintf(line, "t1", why) + fmt.Sprintf(line, "t2", why)
		}
		w.expect(try(""), dropped("No offers specified"))
		w.expect(try("nope"), dropped("Offer "+masterID+"-nope is no longer valid"))
		w.expect(try("O0,O0"), dropped("Duplicate offer "+masterID+"-O0 in offer list"))
		w.pass(time.Second)
		// The good offer was given back.
		w.expect(s.transcript(), "OFFERS O2 S0 example "+whole)
		w.expect(try("O2,O1"), dropped(fmt.Sprintf("Aggregated offers must belong to one single agent. Offer %s-O1 uses agent %s and agent %s", masterID, b.id.Value, a.id.Value)))

		other := w.subscribe(strings.Replace(exampleInfo, `{"type":"PARTITION_AWARE"},`, "", 1))
		w.pass(time.Second)
		s.transcript()
		ids := other.transcript()
		if !strings.HasPrefix(ids, "OFFERS") {
			s.must(decline("O3", ""))
			s.must(decline("O4", ""))
			w.pass(time.Second)
			ids = other.transcript()
		}
		mine := strings.Fields(ids)[1]
		w.expect(try(mine), dropped(fmt.Sprintf("Offer %s-%s has invalid framework %s while framework %s is expected", masterID, mine, other.id, s.id)))
		other.must(accept("nope", other.group(a, "exec-1", "t9")))
		w.expect(other.transcript(), "UPDATE t9 TASK_LOST SOURCE_MASTER REASON_INVALID_OFFERS Task launched with invalid offers: Offer "+masterID+"-nope is no longer valid agent_id=S0")
	})
}

func TestTwoOffersOfOneAgent(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		s.must(accept("O0", s.group(a, "exec-1", "t1")))
		w.pass(time.Second)
		a.update(s, "t1", "exec-1", mesos.TASK_FINISHED, 1)
		w.pass(time.Second)
		w.expect(s.transcript(), `
			OFFERS O1 S0 example ports:31000-32000,cpus:7.7,mem:8096,disk:19958 +exec-1
			UPDATE t1 TASK_FINISHED SOURCE_EXECUTOR agent_id=S0 executor_id=exec-1 uuid container_status
			OFFERS O2 S0 example cpus:0.1,mem:32,disk:10 +exec-1`)
		big := strings.Replace(s.group(a, "exec-1", "t2"), resourcesOf(0.1, 32, 10), resourcesOf(7.8, 8128, 19968), 1)
		s.must(accept("O1,O2", big))
		a.heard()
		w.expect(s.transcript(), "")
	})
}

func TestADisconnectedAgentIsNotOffered(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		w.m.AgentDisconnected(a.id)
		w.expect(s.transcript(), "RESCIND O0")
		w.pass(3 * time.Second)
		w.expect(s.transcript(), "")
	})
}

func TestOldFrameworksSeeOldResources(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1")
		s := w.subscribe(`"user":"root","name":"old","role":"example"`)
		events := s.events()
		if len(events) != 1 || !strings.Contains(events[0], `{"name":"cpus","type":"SCALAR","scalar":{"value":8.0},"role":"*"}`) || strings.Contains(events[0], "allocation_info") {
			t.Errorf("got %s", events)
		}
	})
}
