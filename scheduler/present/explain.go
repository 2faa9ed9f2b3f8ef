package present

import (
	"fmt"
	"slices"
	"strings"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Quota says what a role has and may have, such as "role team has 9.5 of 10 cpus (0.6
// too little left), 512 of 512 mem (used up)".
func Quota(q *tandemv1.RoleQuota) string {
	var parts []string
	for _, l := range q.GetLimits() {
		part := fmt.Sprintf("%v of %v %s", l.GetConsumed(), l.GetLimit(), l.GetResource())
		switch {
		case l.GetConsumed() >= l.GetLimit():
			part += " (used up)"
		case l.GetMissing() > 0:
			part += fmt.Sprintf(" (%v too little left)", l.GetMissing())
		}
		parts = append(parts, part)
	}
	return fmt.Sprintf("role %s has %s", q.GetRole(), strings.Join(parts, ", "))
}

// Silence says why offers that were asked for do not come, as far as that is known.
func Silence(x *tandemv1.Explanation) string {
	switch {
	case slices.ContainsFunc(x.GetQuotas(), short):
		return "the quota has too little left"
	case x.GetQuotasUnknown() != "":
		return "nothing is free, or the role's quota or share is used up"
	}
	return "nothing is free, or it is kept for other roles"
}

func short(q *tandemv1.RoleQuota) bool {
	return slices.ContainsFunc(q.GetLimits(), func(l *tandemv1.QuotaLimit) bool { return l.GetMissing() > 0 })
}

// Needs says what one instance takes of its agent, such as "1.1 cpus, 96 MiB memory,
// with its executor".
func Needs(x *tandemv1.Explanation) string {
	needs := x.GetNeeds()
	var parts []string
	for _, r := range []struct{ name, word string }{{"cpus", " cpus"}, {"mem", " memory"}, {"disk", " disk"}, {"gpus", " gpus"}} {
		amount, ok := needs[r.name]
		switch {
		case !ok:
		case r.name == "mem", r.name == "disk":
			parts = append(parts, Bytes(uint64(amount*(1<<20)))+r.word)
		default:
			parts = append(parts, fmt.Sprint(amount)+r.word)
		}
	}
	return strings.Join(append(parts, "with its executor"), ", ")
}
