// Package convert turns the files of other schedulers for Mesos into job files:
// Marathon's apps, pods and groups, and mesos-compose's services.
//
// What has a counterpart is carried over; for everything else, down to a single
// key, there is a Remark that says what was left out or means something else,
// and what to do about it. A job that comes out is what the source asked for as
// far as Tandem can do it, with the defaults of the source written out where
// they differ from Tandem's.
//
// The package must never leave anything out without a remark, and must never
// touch a file or the network.
//
// Sources: Marathon's REST API as its RAML files describe it
// (docs/docs/rest-api/public/api/v2/types of mesosphere/marathon), and the
// README and examples of AVENTER-UG/mesos-compose.
package convert
