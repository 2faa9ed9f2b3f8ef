package wire

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Document is JSON text that was read: an object or an array. The older endpoints
// read their bodies in two steps, each with its own errors, which are those of
// stout and end up in answers.
type Document struct{ v value }

// errJSONType is for JSON of another kind than wanted.
var errJSONType = errors.New("Unexpected JSON type parsed")

// ParseObject reads the text of an object.
func ParseObject(text []byte) (Document, error) { return parseDocument(text, kindObject) }

// ParseArray reads the text of an array.
func ParseArray(text []byte) (Document, error) { return parseDocument(text, kindArray) }

func parseDocument(text []byte, kind valueKind) (Document, error) {
	v, err := parseJSON(text)
	if err != nil {
		return Document{}, err
	}
	if v.kind != kind {
		return Document{}, errJSONType
	}
	return Document{v}, nil
}

// Convert fills in a message from an object.
func (s *Schema) Convert(d Document, into Message) error {
	plan, err := s.planOf(into)
	if err != nil {
		return err
	}
	raw, err := jsonToProto(plan, d.v)
	if err != nil {
		return err
	}
	missing, err := plan.missing(nil, "", raw)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		//lint:ignore ST1005 a real Mesos's text
		return fmt.Errorf("Missing required fields: %s", strings.Join(missing, ", "))
	}
	return into.Unmarshal(raw)
}

// ConvertList makes messages of what an array holds.
func ConvertList[M any, P interface {
	*M
	Message
}](s *Schema, d Document) ([]M, error) {
	list := make([]M, len(d.v.list))
	for i, item := range d.v.list {
		if err := s.Convert(Document{item}, P(&list[i])); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// DecodeForm reads the body of a form as libprocess does: pairs between & or ;, of
// which the last of one name counts.
func DecodeForm(body string) (map[string]string, error) {
	values := make(map[string]string)
	for pair := range strings.FieldsFuncSeq(body, func(r rune) bool { return r == '&' || r == ';' }) {
		name, text, _ := strings.Cut(pair, "=")
		name, err := decodeEscapes(name)
		if err == nil {
			text, err = decodeEscapes(text)
		}
		if err != nil {
			return nil, err
		}
		values[name] = text
	}
	return values, nil
}

// decodeEscapes undoes percent-encoding and reads + as a blank.
func decodeEscapes(s string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '+':
			out.WriteByte(' ')
		case '%':
			if i+2 < len(s) {
				if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
					out.WriteByte(byte(n))
					i += 2
					continue
				}
			}
			//lint:ignore ST1005 a real Mesos's text
			return "", fmt.Errorf("Malformed %% escape in '%s': '%s'", s, s[i:min(i+3, len(s))])
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String(), nil
}

// PostedForm reads the form that a POST must bring; any other method is refused,
// and so is a form without one of the fields.
func PostedForm(r *http.Request, fields ...string) (map[string]string, error) {
	if r.Method != http.MethodPost {
		return nil, MethodNotAllowed(r.Method, http.MethodPost)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, Internal("failed to decode body")
	}
	values, err := DecodeForm(string(body))
	if err != nil {
		return nil, BadRequest("Unable to decode query string: %s", err)
	}
	for _, name := range fields {
		if _, ok := values[name]; !ok {
			return nil, BadRequest("Missing '%s' query parameter in the request body", name)
		}
	}
	return values, nil
}
