package master

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// frameworkRealm is where schedulers authenticate.
const frameworkRealm = "mesos-master-scheduler"

// authenticate returns the principal that makes a request, or none while the
// master asks for none. Whatever is wrong with the credentials has one answer.
// Like a real master, it wants the scheme spelled Basic and followed by a
// single blank.
func (m *Master) authenticate(r *http.Request) (principal string, err error) {
	if len(m.options.FrameworkCredentials) == 0 {
		return "", nil
	}
	refused := wire.Unauthorized(frameworkRealm)
	encoded, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Basic ")
	if !ok {
		return "", refused
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", refused
	}
	principal, secret, ok := strings.Cut(string(decoded), ":")
	known, exists := m.options.FrameworkCredentials[principal]
	if !ok || !exists || subtle.ConstantTimeCompare([]byte(known), []byte(secret)) != 1 {
		return "", refused
	}
	return principal, nil
}
