package present_test

import (
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

func TestExplanation(t *testing.T) {
	short := &tandemv1.Explanation{
		Needs: map[string]float64{"cpus": 1.1, "mem": 96, "disk": 1536},
		Quotas: []*tandemv1.RoleQuota{
			{Role: "team", Limits: []*tandemv1.QuotaLimit{
				{Resource: "cpus", Limit: 10, Consumed: 9.5, Missing: 0.6}, {Resource: "mem", Limit: 512, Consumed: 512, Missing: 96},
			}},
			{Role: "team/web", Limits: []*tandemv1.QuotaLimit{{Resource: "cpus", Limit: 20, Consumed: 3}}},
		},
	}
	for _, tc := range []struct{ name, got, want string }{
		{"quota", present.Quota(short.Quotas[0]), "role team has 9.5 of 10 cpus (0.6 too little left), 512 of 512 mem (used up)"},
		{"quota that would do", present.Quota(short.Quotas[1]), "role team/web has 3 of 20 cpus"},
		{"needs", present.Needs(short), "1.1 cpus, 96 MiB memory, 1.5 GiB disk, with its executor"},
		{"silence", present.Silence(short), "the quota has too little left"},
		{"silence without a quota", present.Silence(&tandemv1.Explanation{}), "nothing is free, or it is kept for other roles"},
		{"silence and unknown quotas", present.Silence(&tandemv1.Explanation{QuotasUnknown: "no"}),
			"nothing is free, or the role's quota or share is used up"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, tc.got, tc.want)
		}
	}
}
