package masterapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Role is what a master says of one that somebody has subscribed with, or that has
// a weight or a quota. Amounts are by the resource's name, in its unit.
type Role struct {
	Name string
	// Limit is the most that the role and those below it may have; what is not in it
	// has no limit. Consumed is what counts against it: what is allocated, and what
	// is reserved and lies idle. (Master::RoleResourceBreakdown::consumedQuota in
	// src/master/master.cpp; masters before 1.9 do not say.)
	Limit, Consumed map[string]float64
}

// Roles returns the roles that the master, or the one that it names as the leader,
// shows to this principal on its page /roles. The error is ErrForbidden when it may
// not ask.
func (c *Client) Roles(ctx context.Context, at string) ([]Role, error) {
	fail := func(err error) ([]Role, error) {
		return nil, fmt.Errorf("cannot ask the master at %s for /roles: %w", at, err)
	}
	answer, err := c.ask(ctx, http.MethodGet, at+"/roles", nil)
	if err != nil {
		return fail(err)
	}
	var shown struct {
		Roles []struct {
			Name  string
			Quota struct{ Limit, Consumed map[string]float64 }
		}
	}
	if err := json.Unmarshal(answer, &shown); err != nil {
		return fail(err)
	}
	roles := make([]Role, len(shown.Roles))
	for i, r := range shown.Roles {
		roles[i] = Role{Name: r.Name, Limit: r.Quota.Limit, Consumed: r.Quota.Consumed}
	}
	return roles, nil
}
