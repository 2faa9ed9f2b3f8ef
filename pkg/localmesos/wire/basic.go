package wire

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
)

// Basic authenticates a request with HTTP's Basic scheme: it returns which of the
// principals, whose secrets are given, has made it, or the answer that refuses
// it. Whatever is wrong with the credentials has one answer. Like libprocess, it
// wants the scheme spelled Basic and followed by a single blank.
func Basic(r *http.Request, realm string, secrets map[string]string) (principal string, err error) {
	refused := Unauthorized(realm)
	encoded, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Basic ")
	if !ok {
		return "", refused
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", refused
	}
	principal, secret, ok := strings.Cut(string(decoded), ":")
	known, exists := secrets[principal]
	if !ok || !exists || subtle.ConstantTimeCompare([]byte(known), []byte(secret)) != 1 {
		return "", refused
	}
	return principal, nil
}

// CheckOperators refuses credentials of operators without a realm to authenticate
// for, and the reverse.
func CheckOperators(credentials map[string]string, readonly, readwrite bool) error {
	if asked := readonly || readwrite; asked != (len(credentials) > 0) {
		return errors.New("operators' credentials and a realm to authenticate for need each other:" +
			" give both OperatorCredentials and AuthenticateReadonly or AuthenticateReadwrite, or neither")
	}
	return nil
}

type principalKey struct{}

// Authenticated serves with a handler what comes with the credentials of one of
// the principals. The handler learns from Principal who it is. Before anything
// else of the request, the credentials are looked at.
func Authenticated(realm string, secrets map[string]string, h Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		principal, err := Basic(r, realm, secrets)
		if err != nil {
			return err
		}
		return h(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, principal)))
	}
}

// Principal returns who makes a request that came through Authenticated; empty
// for any other.
func Principal(r *http.Request) string {
	principal, _ := r.Context().Value(principalKey{}).(string)
	return principal
}
