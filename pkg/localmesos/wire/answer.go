package wire

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Error is an answer other than success: a status and a line of text.
type Error struct {
	Status int
	Text   string
	// The headers of these names; empty for none.
	Allow        string
	Location     string
	Authenticate string // WWW-Authenticate
}

func (e *Error) Error() string { return e.Text }

// BadRequest is a 400 with its text.
func BadRequest(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Text: fmt.Sprintf(format, args...)}
}

// Forbidden is a 403 with its text.
func Forbidden(text string) *Error { return &Error{Status: http.StatusForbidden, Text: text} }

// Unauthorized is the 401 that asks for credentials of a realm.
func Unauthorized(realm string) *Error {
	return &Error{
		Status:       http.StatusUnauthorized,
		Text:         "401 Unauthorized.",
		Authenticate: fmt.Sprintf("Basic realm=%q", realm),
	}
}

// NotFound is the 404 of an unknown path.
func NotFound() *Error { return &Error{Status: http.StatusNotFound, Text: "404 Not Found."} }

// Unavailable is a 503 with its text.
func Unavailable(text string) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Text: text}
}

// Internal is a 500 with its text.
func Internal(text string) *Error { return &Error{Status: http.StatusInternalServerError, Text: text} }

// MethodNotAllowed is the 405 that names the methods expected and received.
func MethodNotAllowed(received string, expected ...string) *Error {
	return &Error{
		Status: http.StatusMethodNotAllowed,
		Text: fmt.Sprintf("405 Method Not Allowed. Expecting one of { '%s' }, but received '%s'.",
			strings.Join(expected, "', '"), received),
		Allow: strings.Join(expected, ", "),
	}
}

// Redirect is a 307 without a body.
func Redirect(location string) *Error {
	return &Error{Status: http.StatusTemporaryRedirect, Location: location}
}

// Write sends the answer.
func (e *Error) Write(w http.ResponseWriter) {
	header := w.Header()
	if e.Allow != "" {
		header.Set("Allow", e.Allow)
	}
	if e.Location != "" {
		header.Set("Location", e.Location)
	}
	if e.Authenticate != "" {
		header.Set("WWW-Authenticate", e.Authenticate)
	}
	if e.Location != "" || e.Status < http.StatusMultipleChoices {
		WriteEmpty(w, e.Status)
		return
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(e.Text)))
	w.WriteHeader(e.Status)
	// A write that fails has nobody to be told.
	_, _ = w.Write([]byte(e.Text))
}

// WriteEmpty sends an answer without a body, such as the 202 of a call.
func WriteEmpty(w http.ResponseWriter, status int) {
	// A nil entry keeps net/http from guessing a type.
	w.Header()["Content-Type"] = nil
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
}

// minGzipBody is the least size of a body that is compressed
// (GZIP_MINIMUM_BODY_LENGTH of libprocess).
const minGzipBody = 1024

// WriteBody sends a whole body with status 200, compressed if it is large and
// the client takes gzip.
func WriteBody(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	if len(body) < minGzipBody || !acceptsEncoding(r, "gzip") {
		header.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(body)
		return
	}
	header.Set("Content-Encoding", "gzip")
	w.WriteHeader(http.StatusOK)
	zip := gzip.NewWriter(w)
	_, _ = zip.Write(body)
	_ = zip.Close()
}

// WriteJSON sends JSON text with status 200, as a script that calls a function
// if the query asks for jsonp.
func WriteJSON(w http.ResponseWriter, r *http.Request, text []byte) {
	callback := r.URL.Query().Get("jsonp")
	if callback == "" {
		WriteBody(w, r, string(JSON), text)
		return
	}
	body := append([]byte(callback), '(')
	body = append(body, text...)
	WriteBody(w, r, "text/javascript", append(body, ')'))
}
