// Package tandemv1connect is the generated client and server of tandem.v1's
// services, for the Connect protocol. It must never hold code of its own.
package tandemv1connect
