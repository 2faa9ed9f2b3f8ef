package master

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

// reserved is a scalar that is dynamically reserved for the example's role; more
// are its further members.
func reserved(name string, v float64, more string) string {
	return fmt.Sprintf(`{"name":%q,"type":"SCALAR","scalar":{"value":%v},"reservations":[{"type":"DYNAMIC","role":"example"}]%s}`, name, v, more)
}

const exampleVolume = `,"disk":{"persistence":{"id":"v"},"volume":{"container_path":"data","mode":"RW"}}`

func convert(kind, id, list string) string {
	field := map[string]string{"RESERVE": "resources", "UNRESERVE": "resources", "CREATE": "volumes", "DESTROY": "volumes"}[kind]
	return fmt.Sprintf(`{"type":%q,"id":{"value":%q},%q:{%q:[%s]}}`, kind, id, strings.ToLower(kind), field, list)
}

// statuses prints the UPDATE_OPERATION_STATUS events that came.
func (s *fakeScheduler) statuses() string {
	s.w.settle()
	var b strings.Builder
	for _, text := range s.events() {
		var e struct {
			Type   string
			Update struct {
				Status struct {
					OperationID struct{ Value string } `json:"operation_id"`
					State       string
					Message     string
				}
			} `json:"update_operation_status"`
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil || e.Type != "UPDATE_OPERATION_STATUS" {
			continue
		}
		fmt.Fprintf(&b, "%s %s %s\n", e.Update.Status.OperationID.Value, e.Update.Status.State, e.Update.Status.Message)
	}
	return b.String()
}

// finish has the agent say that the last operation is done; n ends the status's
// UUID.
func (a *fakeAgent) finish(n byte) []byte {
	a.mu.Lock()
	op := a.last.operation
	a.mu.Unlock()
	uuid := []byte{0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x46, 0x17, 0x98, 0x19, 0x1a, 0x1b, 0, 0, 0, n}
	a.w.m.OperationStatus(link.OperationUpdate{AgentID: a.id, FrameworkID: op.FrameworkID, Operation: op.UUID.Value, Status: mesos.OperationStatus{
		OperationID: op.Info.ID, State: mesos.OPERATION_FINISHED, UUID: &mesos.UUID{Value: uuid}, AgentID: &a.id,
	}})
	return uuid
}

// TestOperationsAreRefused holds what a real master of 1.12 answered to the same
// operations, and in which order.
func TestOperationsAreRefused(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		plain := `{"name":"cpus","type":"SCALAR","scalar":{"value":1}}`
		s.must(accept("O0",
			convert("RESERVE", "unreserved", plain),
			convert("RESERVE", "too much", reserved("cpus", 100, "")),
			convert("UNRESERVE", "not there", reserved("cpus", 1, "")),
			convert("CREATE", "no disk", reserved("disk", 10, "")),
			convert("DESTROY", "no volume", reserved("disk", 10, exampleVolume)),
			`{"type":"RESERVE","id":{"value":"nothing"}}`,
			convert("RESERVE", "none", ""),
			convert("RESERVE", "negative", reserved("cpus", -1, "")),
		))
		const where = "; on agent " + masterID + "-S0 at slave(1)@127.0.0.1:5051 (127.0.0.1)\n"
		const offered = "ports(allocated: example):[31000-32000]; cpus(allocated: example):8; mem(allocated: example):8192; disk(allocated: example):20000"
		w.expect(s.statuses(), "nothing OPERATION_ERROR Operation attempted with invalid resources: A RESERVE offer operation must have the Offer.Operation.reserve field set.\n"+
			"negative OPERATION_ERROR Operation attempted with invalid resources: Resource 'cpus(reservations: [(DYNAMIC,example)]):-1' is invalid: Invalid scalar resource: value <= 0\n"+
			"unreserved OPERATION_ERROR Resource cpus(allocated: example):1 is not dynamically reserved"+where+
			"too much OPERATION_ERROR "+offered+" does not contain cpus(allocated: example):100\n"+
			"not there OPERATION_ERROR "+offered+" does not contain cpus(allocated: example)(reservations: [(DYNAMIC,example)]):1\n"+
			"no disk OPERATION_ERROR Not a persistent volume: Resource disk(allocated: example)(reservations: [(DYNAMIC,example)]):10 does not have DiskInfo"+where+
			"no volume OPERATION_ERROR Persistent volumes not found"+where+
			"none OPERATION_ERROR Invalid resources: The resources have multiple resource providers: "+where)
	})
}

// TestOperationFeedback follows an operation from ACCEPT to its acknowledgement.
func TestOperationFeedback(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		s.must(accept("O0",
			convert("RESERVE", "r", reserved("cpus", 2, "")+","+reserved("disk", 100, "")),
			convert("CREATE", "c", reserved("disk", 64, exampleVolume))))
		w.expect(a.heard(), "apply RESERVE r\napply CREATE c")
		w.expect(s.statuses(), "")
		uuid := a.finish(7)
		w.expect(s.statuses(), "c OPERATION_FINISHED ")
		if slaves := w.get("/slaves"); !strings.Contains(slaves, `"reserved_resources":{"example":{"disk":100.0,"mem":0.0,"gpus":0.0,"cpus":2.0}}`) {
			t.Errorf("/slaves says %s", slaves)
		}
		s.must(`"type":"RECONCILE_OPERATIONS","reconcile_operations":{"operations":[{"operation_id":{"value":"r"}},{"operation_id":{"value":"c"}},` +
			`{"operation_id":{"value":"x"}},{"operation_id":{"value":"x"},"agent_id":{"value":"` + a.id.Value + `"}}]}`)
		w.expect(s.statuses(), "r OPERATION_PENDING \nc OPERATION_FINISHED \n"+
			"x OPERATION_UNKNOWN Reconciliation: Operation is unknown and no 'agent_id' was provided\n"+
			"x OPERATION_UNKNOWN Reconciliation: Operation is unknown")
		text, _ := json.Marshal(uuid)
		s.must(fmt.Sprintf(`"type":"ACKNOWLEDGE_OPERATION_STATUS","acknowledge_operation_status":{"agent_id":{"value":%q},"operation_id":{"value":"c"},"uuid":%s}`, a.id.Value, text))
		w.expect(a.heard(), "acknowledged operation 7")
		s.must(`"type":"RECONCILE_OPERATIONS","reconcile_operations":{"operations":[]}`)
		w.expect(s.statuses(), "r OPERATION_PENDING ")
	})
}

// TestConvertedResourcesAreOfferedAtOnce: the filters of the ACCEPT do not hold
// for what it made.
func TestConvertedResourcesAreOfferedAtOnce(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		s.must(strings.Replace(accept("O0", convert("RESERVE", "r", reserved("cpus", 2, ""))), `"refuse_seconds":0`, `"refuse_seconds":1000`, 1))
		w.settle()
		w.pass(2 * DefaultAllocationInterval)
		if got := s.transcript(); !strings.Contains(got, "OFFERS O1") || !strings.Contains(got, "cpus:2") {
			t.Errorf("after RESERVE came\n%s", got)
		}
	})
}

func TestOperatorReserves(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		reserve := func(agent, list string) string {
			answer := w.do(http.MethodPost, "/api/v1", fmt.Sprintf(`{"type":"RESERVE_RESOURCES","reserve_resources":{"agent_id":{"value":%q},"resources":[%s]}}`, agent, list), "Content-Type", "application/json")
			return fmt.Sprintf("%d %s", answer.status, answer.body)
		}
		w.expect(reserve("x", reserved("cpus", 1, "")), "400 No agent found with specified ID")
		w.expect(reserve(a.id.Value, `{"name":"cpus","type":"SCALAR","scalar":{"value":1}}`),
			"400 Invalid RESERVE operation on agent "+masterID+"-S0 at slave(1)@127.0.0.1:5051 (127.0.0.1): Resource cpus:1 is not dynamically reserved")
		got := reserve(a.id.Value, reserved("cpus", 100, ""))
		if !regexp.MustCompile(`^409 .*cpus:8.* does not contain cpus:100$`).MatchString(got) {
			t.Errorf("too much is answered with %s", got)
		}
		s.transcript()
		w.pass(6 * DefaultAllocationInterval)
		w.expect(s.transcript(), "OFFERS O1 S0 example ports:31000-32000,cpus:8,mem:8192,disk:20000")
		w.expect(reserve(a.id.Value, reserved("cpus", 1, "")), "202 ")
		w.expect(s.transcript(), "RESCIND O1")
		w.expect(a.heard(), "apply RESERVE")
		// Nobody waits for the outcome, so the master acknowledges it.
		a.finish(9)
		w.expect(a.heard(), "acknowledged operation 9")
		form := w.do(http.MethodPost, "/unreserve", "slaveId="+a.id.Value+"&resources=["+reserved("cpus", 1, "")+"]")
		w.expect(fmt.Sprint(form.status, " ", form.body), "202 ")
		w.expect(a.heard(), "apply UNRESERVE")
	})
}
