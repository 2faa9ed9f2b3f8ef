package api

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
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

// Unmarshal reads a message. Of one that cannot be read it leaves in the message why:
// Connect would answer a codec's error with its code alone. What guards calls looks
// for it, by unread, before anything else.
func (strictJSON) Unmarshal(text []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", message)
	}
	err := errors.New("there is no JSON: {} is the least")
	if len(text) > 0 {
		err = protojson.Unmarshal(text, m)
	}
	if err != nil {
		proto.Reset(m)
		m.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, whyUnread, protowire.BytesType), err.Error()))
	}
	return nil
}

// whyUnread is a field that no message has: the greatest number that one could have.
const whyUnread = protowire.MaxValidNumber

// inField finds the field that protojson cannot read.
var inField = regexp.MustCompile(`unknown field "([^"]*)"|invalid value for \S+ field (\w+)`)

// unread returns the refusal of a request that was not what it should be, or nil.
func unread(request any) error {
	message, ok := request.(proto.Message)
	if !ok {
		return nil
	}
	number, kind, n := protowire.ConsumeTag(message.ProtoReflect().GetUnknown())
	if n < 0 || number != whyUnread || kind != protowire.BytesType {
		return nil
	}
	text, n := protowire.ConsumeString(message.ProtoReflect().GetUnknown()[n:])
	if n < 0 {
		return nil
	}
	// The library puts one of two kinds of space there, that nobody relies on its text.
	text = strings.TrimLeft(strings.TrimPrefix(text, "proto:"), " \u00a0")
	err := refusedAs(connect.CodeInvalidArgument, "INVALID_REQUEST", fmt.Errorf("the request cannot be read: %s", text))
	switch at := inField.FindStringSubmatch(text); {
	case at != nil:
		atFault(err, at[1]+at[2], text)
	case strings.Contains(text, "FieldMask"):
		atFault(err, "readMask", text)
	}
	return err
}
