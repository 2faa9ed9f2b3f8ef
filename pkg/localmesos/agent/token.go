package agent

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// executorRealm is what executors authenticate for (src/common/http.hpp).
const executorRealm = "mesos-agent-executor"

// claims are what an executor's token says, in the order of a real one.
type claims struct {
	Container string `json:"cid"`
	Executor  string `json:"eid"`
	Framework string `json:"fid"`
}

// tokenHeader is the first part of every token.
type tokenHeader struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
}

// token makes an executor's token, a JSON web token without an end
// (src/authentication/executor/jwt_secret_generator.cpp).
func (a *Agent) token(l core.Launch) string {
	part := func(v any) string {
		text, _ := json.Marshal(v) // structs of strings
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(tokenHeader{"HS256", "JWT"}) + "." +
		part(claims{l.Container, l.Executor.ExecutorID.Value, l.Framework.ID.Value})
	return signed + "." + base64.RawURLEncoding.EncodeToString(a.sign(signed))
}

func (a *Agent) sign(text string) []byte {
	h := hmac.New(sha256.New, a.options.ExecutorSecret)
	_, _ = h.Write([]byte(text)) // a hash takes everything
	return h.Sum(nil)
}

// authenticate reads an executor's token; without a secret it asks for none. The
// refusals are those of JWTAuthenticator in libprocess.
func (a *Agent) authenticate(r *http.Request) (*claims, error) {
	if len(a.options.ExecutorSecret) == 0 {
		return nil, nil
	}
	given := r.Header.Get("Authorization")
	if given == "" {
		return nil, noToken("")
	}
	scheme, token, found := strings.Cut(given, " ")
	switch {
	case !found || strings.Contains(token, " "):
		return nil, noToken("Malformed 'Authorization' header")
	case scheme != "Bearer":
		return nil, noToken("Scheme '" + scheme + "' unsupported")
	}
	c, text := a.verify(token)
	if text != "" {
		return nil, noToken("Invalid JWT: " + text)
	}
	return c, nil
}

func noToken(why string) *wire.Error {
	header := fmt.Sprintf("Bearer realm=%q", executorRealm)
	if why != "" {
		header += `, error="invalid_token", error_description="` + why + `"`
	}
	return &wire.Error{Status: http.StatusUnauthorized, Text: "401 Unauthorized.", Authenticate: header}
}

// verify reads a token, or says what is wrong with it.
func (a *Agent) verify(token string) (c *claims, wrong string) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Sprintf("Expected 3 components in token, got %d", len(parts))
	}
	var header tokenHeader
	if err := decodePart(parts[0], &header); err != nil {
		return nil, "Failed to decode token header: " + err.Error()
	}
	if header.Algorithm != "HS256" {
		return nil, fmt.Sprintf("Token 'alg' value %q does not match, expected \"HS256\"", header.Algorithm)
	}
	c = &claims{}
	if err := decodePart(parts[1], c); err != nil {
		return nil, "Failed to decode token payload: " + err.Error()
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(signature, a.sign(parts[0]+"."+parts[1])) {
		return nil, "Token signature does not match"
	}
	return c, ""
}

func decodePart(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return fmt.Errorf("cannot decode base64: %w", err)
	}
	return json.Unmarshal(text, into)
}

// permit refuses a call of an executor whose token is another's
// (verifyExecutorClaims in src/slave/http.cpp). Whom the agent does not know is
// refused later, for that reason.
func (a *Agent) permit(c *claims, call *executor.Call) error {
	if c == nil {
		return nil
	}
	container, known := "", false
	ask(a, func(time.Time) bool {
		container, known = a.core.ContainerOf(call.FrameworkID, call.ExecutorID)
		return known
	})
	principal := fmt.Sprintf("{ cid: %s, eid: %s, fid: %s }", c.Container, c.Executor, c.Framework)
	switch {
	case !known:
		return nil
	case c.Framework != call.FrameworkID.Value:
		return wire.Forbidden("Authenticated principal '" + principal + "' does not contain an 'fid' claim with the framework ID " +
			call.FrameworkID.Value + ", which is set in the call")
	case c.Executor != call.ExecutorID.Value:
		return wire.Forbidden("Authenticated principal '" + principal + "' does not contain an 'eid' claim with the executor ID " +
			call.ExecutorID.Value + ", which is set in the call")
	case c.Container != container:
		return wire.Forbidden("Authenticated principal '" + principal + "' does not contain a 'cid' claim with the correct active ContainerID")
	}
	return nil
}
