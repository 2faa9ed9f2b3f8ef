package conform

import (
	"encoding/hex"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

func fromHex(text string) []byte {
	raw, err := hex.DecodeString(strings.TrimPrefix(text, "hex:"))
	if err != nil {
		return nil
	}
	return raw
}

// eventJSON returns an event in JSON, whatever it came in.
func (s Stage) eventJSON(record []byte) []byte {
	if len(record) > 0 && record[0] == '{' {
		return record
	}
	var e scheduler.Event
	if _, err := s.Schema.Decode(wire.Protobuf, record, &e, "Event"); err != nil {
		return record
	}
	text, err := s.Schema.Encode(wire.JSON, &e)
	if err != nil {
		return record
	}
	return text
}

// translateCall puts the replay's identifiers into a call in protobuf; whatever
// is none stays as it is.
func (s Stage) translateCall(text string, n *names) ([]byte, error) {
	raw := fromHex(text)
	// Most identifiers are as long as before, and then nothing else changes.
	if same := n.translate(string(raw)); len(same) == len(raw) {
		return []byte(same), nil
	}
	var call scheduler.Call
	if _, err := s.Schema.Decode(wire.Protobuf, raw, &call, "Call"); err != nil {
		return raw, nil
	}
	asJSON, err := s.Schema.Encode(wire.JSON, &call)
	if err != nil {
		return nil, err
	}
	translated := n.translate(string(asJSON))
	if translated == string(asJSON) {
		return raw, nil
	}
	var out scheduler.Call
	if _, err := s.Schema.Decode(wire.JSON, []byte(translated), &out, "Call"); err != nil {
		return nil, err
	}
	return s.Schema.Encode(wire.Protobuf, &out)
}
