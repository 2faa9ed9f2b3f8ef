package master

import (
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// counters are those of a real master's that are there from the start, by their
// names without "master/" (src/master/metrics.cpp).
type counters map[string]float64

func newCounters() counters {
	c := counters{}
	for _, name := range []string{
		"slave_registrations", "slave_reregistrations",
		"slave_removals", "slave_removals/reason_registered", "slave_removals/reason_unhealthy", "slave_removals/reason_unregistered",
		"slave_unreachable_scheduled", "slave_unreachable_completed", "slave_unreachable_canceled",
		"valid_status_updates", "invalid_status_updates",
		"valid_status_update_acknowledgements", "invalid_status_update_acknowledgements",
		"valid_operation_status_updates", "invalid_operation_status_updates",
		"valid_operation_status_update_acknowledgements", "invalid_operation_status_update_acknowledgements",
		"valid_framework_to_executor_messages", "invalid_framework_to_executor_messages",
		"valid_executor_to_framework_messages", "invalid_executor_to_framework_messages",
		"recovery_slave_removals",
		// What does not happen here.
		"slave_shutdowns_scheduled", "slave_shutdowns_completed", "slave_shutdowns_canceled",
	} {
		c[name] = 0
	}
	kinds := []string{""}
	for _, t := range []mesos.Offer_Operation_Type{
		mesos.Offer_Operation_RESERVE, mesos.Offer_Operation_UNRESERVE, mesos.Offer_Operation_CREATE, mesos.Offer_Operation_DESTROY,
		mesos.Offer_Operation_GROW_VOLUME, mesos.Offer_Operation_SHRINK_VOLUME,
		mesos.Offer_Operation_CREATE_DISK, mesos.Offer_Operation_DESTROY_DISK,
	} {
		kinds = append(kinds, strings.ToLower(t.String())+"/")
	}
	for _, kind := range kinds {
		c["operations/"+kind+"total"] = 0
		for _, s := range []mesos.OperationState{
			mesos.OPERATION_PENDING, mesos.OPERATION_RECOVERING, mesos.OPERATION_UNREACHABLE, mesos.OPERATION_FINISHED,
			mesos.OPERATION_FAILED, mesos.OPERATION_ERROR, mesos.OPERATION_DROPPED, mesos.OPERATION_GONE_BY_OPERATOR,
		} {
			c["operations/"+kind+operationStateName(s)] = 0
		}
	}
	return c
}

// valid counts a message that fitted something, or did not.
func (c counters) valid(ok bool, message string) {
	if ok {
		c["valid_"+message]++
	} else {
		c["invalid_"+message]++
	}
}

// operation counts one more, or less, that is in a state.
func (c counters) operation(t mesos.Offer_Operation_Type, s mesos.OperationState, delta float64) {
	for _, kind := range []string{"", strings.ToLower(t.String()) + "/"} {
		if _, counted := c["operations/"+kind+"total"]; counted {
			c["operations/"+kind+"total"] += delta
			c["operations/"+kind+operationStateName(s)] += delta
		}
	}
}

// task counts a task that has ended, by who said so and why. Such a counter is
// there only once it counts something.
func (c counters) task(s *mesos.TaskStatus) {
	if s.Reason != nil {
		c[strings.ToLower(s.GetState().String()+"/"+s.GetSource().String()+"/"+s.GetReason().String())]++
	}
}

func operationStateName(s mesos.OperationState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "OPERATION_"))
}
