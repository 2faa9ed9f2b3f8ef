package masterapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// Agent is what a master says of one that is registered.
type Agent struct {
	// Draining says that an operator drains the agent, or has, and Deactivated that
	// nothing of it is offered; a drain does that, too.
	Draining, Deactivated bool
}

// Agent returns what the master, or the one that it names as the leader, shows to
// this principal of an agent on its page /slaves, and false when it shows no such
// agent. The error is ErrForbidden when it may not ask. (Master::Slave in
// src/master/readonly_handler.cpp; masters before 1.9 know no drain.)
func (c *Client) Agent(ctx context.Context, at, id string) (Agent, bool, error) {
	answer, err := c.ask(ctx, http.MethodGet, at+"/slaves?slave_id="+url.QueryEscape(id), nil)
	if err != nil {
		return Agent{}, false, fmt.Errorf("cannot ask the master at %s for /slaves: %w", at, err)
	}
	var shown struct {
		Slaves []struct {
			ID          string
			Deactivated bool
			Drain       json.RawMessage `json:"drain_info"`
		}
	}
	if err := json.Unmarshal(answer, &shown); err != nil {
		return Agent{}, false, fmt.Errorf("cannot ask the master at %s for /slaves: %w", at, err)
	}
	for _, a := range shown.Slaves {
		if a.ID == id {
			return Agent{Draining: len(a.Drain) > 0, Deactivated: a.Deactivated}, true, nil
		}
	}
	return Agent{}, false, nil
}
