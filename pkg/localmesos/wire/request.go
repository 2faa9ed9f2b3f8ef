package wire

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// StreamIDHeader ties a call to the stream that its framework subscribed with.
const StreamIDHeader = "Mesos-Stream-Id"

// header returns the last of the headers of a name, which is the one that
// libprocess keeps, and whether there is one.
func header(r *http.Request, name string) (string, bool) {
	all := r.Header.Values(name)
	if len(all) == 0 {
		return "", false
	}
	return all[len(all)-1], true
}

// StreamID returns the request's stream ID, if it has one.
func StreamID(r *http.Request) (string, bool) { return header(r, StreamIDHeader) }

// ReadCall reads a call into a message, with the checks that all v1 APIs have
// in common, in Mesos's order: method, Content-Type, syntax, required fields.
// A mistake is returned as *Error, ready to be written.
func (s *Schema) ReadCall(r *http.Request, into Message) (Presence, error) {
	body, media, err := contentOf(r, fmt.Sprintf("%s or %s", JSON, Protobuf))
	if err != nil {
		return Presence{}, err
	}
	return s.decode(media, body, into, "Call")
}

// ReadCallBesideStreams is ReadCall for an API that has streams, too, and looks
// at what the client accepts before it looks at the call.
func (s *Schema) ReadCallBesideStreams(r *http.Request, into Message) (Presence, error) {
	all := fmt.Sprintf("%s or %s or %s", JSON, Protobuf, RecordIO)
	body, media, err := contentOf(r, all)
	if err != nil {
		return Presence{}, err
	}
	if _, ok := header(r, "Message-Content-Type"); ok {
		return Presence{}, &Error{
			Status: http.StatusUnsupportedMediaType,
			Text:   "Expecting 'Message-Content-Type' to be not set for non-streaming requests",
		}
	}
	if _, err := Accept(r); err != nil && !AcceptsMedia(r, string(RecordIO)) {
		return Presence{}, &Error{Status: http.StatusNotAcceptable, Text: "Expecting 'Accept' to allow " + all}
	} else if _, ok := header(r, "Message-Accept"); ok && err == nil {
		return Presence{}, &Error{
			Status: http.StatusNotAcceptable,
			Text:   "Expecting 'Message-Accept' to be not set for non-streaming responses",
		}
	}
	return s.decode(media, body, into, "")
}

func (s *Schema) decode(media MediaType, body []byte, into Message, name string) (Presence, error) {
	presence, err := s.Decode(media, body, into, name)
	if err != nil {
		return Presence{}, BadRequest("%s", err)
	}
	return presence, nil
}

// contentOf reads the body of a POST that has a coding for one message. Others
// are told what is expected.
func contentOf(r *http.Request, expected string) ([]byte, MediaType, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, "", err
	}
	if r.Method != http.MethodPost {
		return nil, "", MethodNotAllowed(r.Method, http.MethodPost)
	}
	contentType, ok := header(r, "Content-Type")
	if !ok {
		return nil, "", BadRequest("Expecting 'Content-Type' to be present")
	}
	media := MediaType(contentType)
	if media != JSON && media != Protobuf {
		return nil, "", &Error{Status: http.StatusUnsupportedMediaType, Text: "Expecting 'Content-Type' of " + expected}
	}
	return body, media, nil
}

// RecordIO is the media type of a stream of messages, whose own type another
// header tells.
const RecordIO MediaType = "application/recordio"

// IsStream says whether a request brings one message after the other.
func IsStream(r *http.Request) bool {
	contentType, _ := header(r, "Content-Type")
	return MediaType(contentType) == RecordIO
}

// StreamOf is the media type of a stream's messages.
func StreamOf(r *http.Request) (MediaType, error) {
	given, ok := header(r, "Message-Content-Type")
	if !ok {
		return "", BadRequest("Expecting 'Message-Content-Type' to be set for streaming requests")
	}
	if media := MediaType(given); media == JSON || media == Protobuf {
		return media, nil
	}
	return "", &Error{
		Status: http.StatusUnsupportedMediaType,
		Text:   fmt.Sprintf("Expecting 'Message-Content-Type' of %s or %s", JSON, Protobuf),
	}
}

// AcceptStream reads what media type a client takes of an answer that is a
// stream, and sets the headers of the answer.
func AcceptStream(w http.ResponseWriter, r *http.Request) (MediaType, error) {
	if media, err := Accept(r); err == nil {
		w.Header().Set("Content-Type", string(media))
		return media, nil
	}
	if !AcceptsMedia(r, string(RecordIO)) {
		return "", &Error{
			Status: http.StatusNotAcceptable,
			Text:   fmt.Sprintf("Expecting 'Accept' to allow %s or %s or %s", JSON, Protobuf, RecordIO),
		}
	}
	media := JSON
	if given, ok := header(r, "Message-Accept"); ok && !acceptable(given, string(JSON), "application/*", "*/*") {
		if !acceptable(given, string(Protobuf)) {
			return "", &Error{
				Status: http.StatusNotAcceptable,
				Text:   fmt.Sprintf("Expecting 'Message-Accept' to allow %s or %s", JSON, Protobuf),
			}
		}
		media = Protobuf
	}
	w.Header().Set("Content-Type", string(RecordIO))
	w.Header().Set("Message-Content-Type", string(media))
	return media, nil
}

// readBody reads a whole body, unzipped if it says that it is zipped.
func readBody(r *http.Request) ([]byte, error) {
	undecodable := Internal("failed to decode body")
	body, err := io.ReadAll(r.Body)
	if err != nil || len(r.Trailer) > 0 {
		return nil, undecodable
	}
	if coding, _ := header(r, "Content-Encoding"); coding != "gzip" {
		return body, nil
	}
	unzip, err := gzip.NewReader(strings.NewReader(string(body)))
	if err != nil {
		return nil, undecodable
	}
	if body, err = io.ReadAll(unzip); err != nil {
		return nil, undecodable
	}
	return body, nil
}

// Accept returns the coding in which the client takes an answer. JSON wins
// whenever it is acceptable, whatever else is preferred; a request without the
// header takes anything. The error is a 406.
func Accept(r *http.Request) (MediaType, error) {
	switch {
	case AcceptsMedia(r, string(JSON)):
		return JSON, nil
	case AcceptsMedia(r, string(Protobuf)):
		return Protobuf, nil
	}
	return "", &Error{
		Status: http.StatusNotAcceptable,
		Text:   fmt.Sprintf("Expecting 'Accept' to allow '%s' or '%s'", Protobuf, JSON),
	}
}

// AcceptsMedia tells whether the Accept header allows a media type, itself or
// by a wildcard. The first entry that matches decides.
func AcceptsMedia(r *http.Request, media string) bool {
	accept, ok := header(r, "Accept")
	if !ok {
		return true
	}
	family, _, _ := strings.Cut(media, "/")
	return acceptable(accept, media, family+"/*", "*/*")
}

func acceptsEncoding(r *http.Request, coding string) bool {
	accept, ok := header(r, "Accept-Encoding")
	return ok && acceptable(accept, coding, "*")
}

// acceptable looks for the candidates, in their order, in the list of an Accept
// or Accept-Encoding header, and returns whether the first found has a weight
// above zero.
func acceptable(list string, candidates ...string) bool {
	list = strings.NewReplacer(" ", "", "\t", "", "\n", "").Replace(list)
	for _, candidate := range candidates {
		for entry := range strings.SplitSeq(list, ",") {
			name, parameters, _ := strings.Cut(entry, ";")
			if !strings.EqualFold(name, candidate) {
				continue
			}
			for parameter := range strings.SplitSeq(parameters, ";") {
				if weight, ok := strings.CutPrefix(parameter, "q="); ok {
					q, err := strconv.ParseFloat(weight, 64)
					return err == nil && q > 0
				}
			}
			return true
		}
	}
	return false
}
