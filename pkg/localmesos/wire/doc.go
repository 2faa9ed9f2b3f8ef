// Package wire is the HTTP and message layer that an embedded master and its
// agents share: how calls are read, how answers, errors and event streams are
// written, and how JSON stands for protobuf.
//
// It follows a real Mesos to the byte wherever a client could notice: stout's
// rules for JSON (3rdparty/stout/include/stout/{json,jsonify,protobuf}.hpp in
// its source), libprocess's rules for routing and for reading requests, and
// the RecordIO framing of docs/scheduler-http-api.md. Messages are
// mesos-go's generated types; everything here works from their descriptors,
// so that no message needs code of its own.
//
// The package must never know what a call means. Whatever depends on the state
// of a master or an agent belongs to them.
package wire
