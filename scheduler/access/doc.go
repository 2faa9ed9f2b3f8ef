// Package access says who a caller is and what they may do.
//
// Callers prove who they are by a token, of which a file keeps the SHA-256, by an
// ID token of an OIDC issuer, or by a client certificate that the server's TLS has
// verified. Each proof gives identities:
//
//	token:NAME          a token of the file
//	oidc:NAME           an ID token, by one of its claims
//	group:NAME          a group that an ID token names
//	cert:NAME           the subject's common name, and every subject alternative
//	                    name, of a client certificate
//	everyone            any caller who has proved who they are
//	anonymous           a caller who has proved nothing
//
// A file of rules gives identities rights by job path. What no rule gives is
// refused.
//
// The package must never keep or show a token, and never take a proof that is
// wrong for none at all.
package access
