package access

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// tokenPrefix begins every token, so that whoever finds one knows what it is.
const tokenPrefix = "tandem_"

// NewToken returns a token, made of 256 random bits, and the line for the file
// of tokens that lets it be used under a name. The line does not give the token
// away. Since nobody can guess a token, its hash needs no salt and no work.
func NewToken(name string) (token, line string, err error) {
	if !tokenName.MatchString(name) {
		return "", "", fmt.Errorf("%q is no name of a token: it has 1 to 64 letters, digits and any of . _ @ -", name)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // It never fails.
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	sum := sha256.Sum256([]byte(token))
	return token, name + " sha256:" + hex.EncodeToString(sum[:]), nil
}

var tokenName = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,64}$`)

// Tokens are who may call with which token. The zero value holds none.
type Tokens struct {
	bySum map[[sha256.Size]byte]storedToken
}

type storedToken struct {
	name    string
	expires time.Time
}

// ParseTokens reads a file of tokens: a line for each, with a name, the token's
// SHA-256 and, where it ends, until when it holds. A name may have several.
//
//	# deploys from CI
//	ci       sha256:5e88…
//	ci       sha256:9f86…  2027-01-31T00:00:00Z
//
// The error has a line for each one that is wrong.
func ParseTokens(content []byte) (*Tokens, error) {
	t := &Tokens{bySum: map[[sha256.Size]byte]storedToken{}}
	var errs []error
	in := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; in.Scan(); n++ {
		line, _, _ := strings.Cut(in.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		sum, token, err := parseToken(fields)
		if _, twice := t.bySum[sum]; err == nil && twice {
			err = errors.New("the token stands there already")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		t.bySum[sum] = token
	}
	if err := in.Err(); err != nil {
		errs = append(errs, fmt.Errorf("not a file of tokens: %w", err))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return t, nil
}

// parseToken reads a line. The errors do not repeat it: somebody may have put
// the token itself there.
func parseToken(fields []string) (sum [sha256.Size]byte, token storedToken, err error) {
	text, ok := "", false
	if len(fields) > 1 {
		text, ok = strings.CutPrefix(fields[1], "sha256:")
	}
	if !ok || len(fields) > 3 {
		return sum, token, errors.New("a name, sha256: with the token's hash and, maybe, a time are asked for, as `tandem token` writes them")
	}
	if !tokenName.MatchString(fields[0]) {
		return sum, token, errors.New("the name has 1 to 64 letters, digits and any of . _ @ -")
	}
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != sha256.Size {
		return sum, token, errors.New("the hash is not 64 hexadecimal digits")
	}
	copy(sum[:], raw)
	token.name = fields[0]
	if len(fields) == 3 {
		if token.expires, err = time.Parse(time.RFC3339, fields[2]); err != nil {
			return sum, token, errors.New("the time is not of the form 2027-01-31T00:00:00Z")
		}
	}
	return sum, token, nil
}

// caller returns whose token it is.
func (t *Tokens) caller(token string, now time.Time) (Caller, error) {
	// The hash is looked up, and not compared: how long that takes says nothing
	// of tokens.
	found, ok := t.bySum[sha256.Sum256([]byte(token))]
	switch {
	case !ok:
		return Caller{}, errors.New("the token is not known")
	case !found.expires.IsZero() && !now.Before(found.expires):
		return Caller{}, fmt.Errorf("the token of %s has expired at %s", found.name, found.expires.Format(time.RFC3339))
	}
	return Caller{Name: "token:" + found.name, Expires: found.expires}, nil
}
