package schedulerapi

import (
	"bytes"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/encoding/protowire"
)

// Decode reads an event in protobuf, and keeps nothing of the record. Offers, of which
// there may be ten thousand, go into lists that are made as long as they will be: those
// of mesos-go grow, and are copied and cleared again and again. A status, of which there
// may be thousands a second, goes into one piece of memory and its IDs into one string,
// and is without what its container's status says beside the container's ID.
func Decode(record []byte) (*scheduler.Event, error) {
	if e := decodeUpdate(record); e != nil {
		return e, nil
	}
	if e := decodeOffers(record); e != nil {
		return e, nil
	}
	e := &scheduler.Event{}
	return e, e.Unmarshal(record)
}

// The numbers of Event.type, Event.offers and Event.Offers.offers
// (mesos/v1/scheduler/scheduler.proto), and of Offer.resources (mesos/v1/mesos.proto).
const (
	eventTypeField, eventOffersField = 1, 3
	offersField                      = 1
	offerResourcesField              = 5
)

// offersHead is what an event of OFFERS begins with, up to the length of its offers.
var offersHead = head(scheduler.Event_OFFERS, eventOffersField)

// head is what an event of a type begins with, up to the length of the field that it
// has.
func head(of scheduler.Event_Type, field protowire.Number) []byte {
	typed := protowire.AppendVarint(protowire.AppendTag(nil, eventTypeField, protowire.VarintType), uint64(of))
	return protowire.AppendTag(typed, field, protowire.BytesType)
}

// decodeOffers returns nil for anything but an event of OFFERS as masters write it.
func decodeOffers(record []byte) *scheduler.Event {
	given, is := bytes.CutPrefix(record, offersHead)
	offers, n := protowire.ConsumeBytes(given)
	if !is || n != len(given) {
		return nil
	}
	list := make([]mesos.Offer, 0, count(offers, offersField))
	for len(offers) > 0 {
		number, kind, tag := protowire.ConsumeTag(offers)
		if tag < 0 || number != offersField || kind != protowire.BytesType {
			return nil
		}
		value, n := protowire.ConsumeBytes(offers[tag:])
		if n < 0 {
			return nil
		}
		offers = offers[tag+n:]
		list = append(list, mesos.Offer{Resources: make([]mesos.Resource, 0, count(value, offerResourcesField))})
		if list[len(list)-1].Unmarshal(value) != nil {
			return nil
		}
	}
	return &scheduler.Event{Type: scheduler.Event_OFFERS, Offers: &scheduler.Event_Offers{Offers: list}}
}

// count returns how often a field occurs in a message.
func count(message []byte, field protowire.Number) int {
	times := 0
	for len(message) > 0 {
		number, _, n := protowire.ConsumeField(message)
		if n < 0 {
			break
		}
		if number == field {
			times++
		}
		message = message[n:]
	}
	return times
}
