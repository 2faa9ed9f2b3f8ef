package constraint_test

import (
	"encoding/hex"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/mesos/constraint"
)

// The bytes are what protoc makes of the same message by Mesos's own proto.
func TestMarshal(t *testing.T) {
	for _, tt := range []struct {
		name   string
		offers constraint.Offers
		want   string
	}{
		{"none", nil, ""},
		{
			"two roles", constraint.Offers{
				"prod": {{{Attribute: "@region", Kind: constraint.NotEquals, Value: "eu"}}},
				"dev": {
					{{Attribute: "rack", Kind: constraint.Equals, Value: "r1"}, {Attribute: "@zone", Kind: constraint.NotMatches, Value: "a|b.*"}},
					{{Attribute: "@hostname", Kind: constraint.Matches, Value: "h[0-9]+"}},
				},
			},
			"0a410a03646576123a0a230a100a0612047261636b12061a040a0272310a0f0a020803120932070a05617c622e2a0a130a110a020801120b2a09" +
				"0a07685b302d395d2b0a180a0470726f6412100a0e0a0c0a020802120622040a026575",
		},
	} {
		if got := hex.EncodeToString(tt.offers.Marshal()); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
