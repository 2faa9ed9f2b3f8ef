package api

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// spoken has who makes a call by hand, and not as any of the protocols has it, be told
// what is wrong: by themselves they answer with a status alone.
func spoken(service string, refusals *connect.ErrorWriter, calls http.Handler) http.Handler {
	methods := tandemv1.File_tandem_v1_api_proto.Services().ByName("SchedulerService").Methods()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, service)
		switch {
		case methods.ByName(protoreflect.Name(name)) == nil:
			http.Error(w, noCall(name, methods), http.StatusNotFound)
		case r.Method == http.MethodPost && !known(r.Header.Get("Content-Type")):
			w.Header().Set("Accept-Post", "application/json, application/proto, application/connect+json, application/grpc, application/grpc-web")
			http.Error(w, "say what the request is written in: Content-Type: application/json, for one", http.StatusUnsupportedMediaType)
		case r.Method == http.MethodGet && !r.URL.Query().Has("encoding"):
			http.Error(w, "send a POST with Content-Type: application/json; calls that change nothing can be made by GET with ?encoding=json&message={...}, too", http.StatusUnsupportedMediaType)
		case r.ContentLength > maxMessage:
			_ = refusals.Write(w, r, refusedAs(connect.CodeResourceExhausted, "TOO_LARGE", fmt.Errorf("the request has %d bytes, and may have %d", r.ContentLength, maxMessage)))
		default:
			calls.ServeHTTP(w, r)
		}
	})
}

// known reports whether some protocol has requests of a type.
func known(contentType string) bool {
	return slices.ContainsFunc([]string{"application/json", "application/proto", "application/connect+", "application/grpc"},
		func(prefix string) bool { return strings.HasPrefix(strings.ToLower(contentType), prefix) })
}

// noCall says that there is no call of a name, and which was probably meant.
func noCall(name string, methods protoreflect.MethodDescriptors) string {
	n := nearest{word: path.Base(name)}
	for i := range methods.Len() {
		n.try(string(methods.Get(i).Name()))
	}
	text := fmt.Sprintf("there is no call %.100q", name)
	if n.best != "" {
		text += "; did you mean " + n.best + "?"
	}
	return text
}
