package api

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// strictJSON reads and writes JSON as protobuf has it. What a message does not have is
// refused: a slip in a field's name, or a field that this version does not know yet,
// would otherwise be done without. It is a codec of Connect's, by the name of the one
// that it takes the place of.
type strictJSON string

func (s strictJSON) Name() string { return string(s) }

func (s strictJSON) Marshal(message any) ([]byte, error) { return s.MarshalAppend(nil, message) }

func (strictJSON) MarshalAppend(to []byte, message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", message)
	}
	return protojson.MarshalOptions{}.MarshalAppend(to, m)
}

func (strictJSON) Unmarshal(text []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", message)
	}
	if len(text) == 0 {
		return errors.New("there is no JSON: {} is the least")
	}
	return protojson.Unmarshal(text, m)
}
