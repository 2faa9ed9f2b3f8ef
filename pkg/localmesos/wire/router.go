package wire

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Handler serves one endpoint. An *Error that it returns is written; any other
// error becomes a 500. It returns nil when it has answered.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Router finds the endpoint of a request as libprocess does: the longest known
// prefix of the path's elements serves it, whatever follows; the name of the
// process, such as master or slave(1), may stand in front. Percent-encoding is
// not undone, and empty elements do not count. Register everything before the
// first request.
type Router struct {
	process   string
	endpoints map[string]Handler
}

// NewRouter returns a router of the endpoints of a process of that name.
func NewRouter(process string) *Router {
	return &Router{process: process, endpoints: make(map[string]Handler)}
}

// Handle registers an endpoint by its path, which starts with a slash and is
// written without the name of the process.
func (rt *Router) Handle(path string, h Handler) {
	rt.endpoints[strings.Trim(path, "/")] = h
}

// ServeHTTP serves a request by the endpoint that its path belongs to.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := rt.serve(w, withoutFragment(r)); err != nil {
		var answer *Error
		if !errors.As(err, &answer) {
			answer = Internal(err.Error())
		}
		answer.Write(w)
	}
}

// withoutFragment passes over what follows a '#', which no client ought to send, as
// libprocess does; Go takes it for a part of the path or the query.
func withoutFragment(r *http.Request) *http.Request {
	target, _, found := strings.Cut(r.RequestURI, "#")
	if !found {
		return r
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return r
	}
	without := *r
	without.URL = u
	return &without
}

func (rt *Router) serve(w http.ResponseWriter, r *http.Request) error {
	if !strings.HasPrefix(r.URL.Path, "/") {
		return BadRequest("Request URL path must start with '/'")
	}
	var elements []string
	for element := range strings.SplitSeq(r.URL.EscapedPath(), "/") {
		if element != "" {
			elements = append(elements, element)
		}
	}
	if len(elements) > 0 && elements[0] == rt.process {
		elements = elements[1:]
	}
	for n := len(elements); n >= 0; n-- {
		h := rt.endpoints[strings.Join(elements[:n], "/")]
		if h != nil && (n > 0 || len(elements) == 0) {
			return h(w, r)
		}
	}
	return NotFound()
}
