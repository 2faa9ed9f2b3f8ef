// Package tandemv1 is the generated Go of tandem.v1: jobs, task settings and
// reports, stored records, and the API. The .proto files beside it say what
// each message and field means. It must never hold code of its own.
package tandemv1
