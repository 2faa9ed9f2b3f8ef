package api

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/tandem-mesos/tandem/scheduler/access"
)

const (
	loginCookie = "tandem_login"
	// loginTime is how long somebody stays logged in.
	loginTime = 12 * time.Hour
	// maxLogins bounds how many are kept; the oldest gives way.
	maxLogins = 10_000
)

// logins are those of browsers. Each stands for the token that it
// was begun with, which is verified anew at each request. They end with
// the process.
type logins struct {
	mu   sync.Mutex
	byID map[string]login
}

type login struct {
	token   string
	expires time.Time
}

func (s *logins) begin(token string, now time.Time) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := ""
	for id, known := range s.byID {
		switch {
		case now.After(known.expires):
			delete(s.byID, id)
		case oldest == "" || known.expires.Before(s.byID[oldest].expires):
			oldest = id
		}
	}
	if len(s.byID) >= maxLogins {
		delete(s.byID, oldest)
	}
	id = rand.Text()
	s.byID[id] = login{token: token, expires: now.Add(loginTime)}
	return id
}

func (s *logins) token(id string, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.byID[id]; now.Before(known.expires) {
		return known.token
	}
	return ""
}

func (s *logins) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
}

// token returns the token that a request brings, in its Authorization or as the
// cookie of a login. A login that holds no more brings none: its browser
// must be able to load the page, and log in again.
func (s *Server) token(r *http.Request) (string, error) {
	if s.opt.Gate.Open() {
		return "", nil
	}
	if token, err := bearerToken(r); token != "" || err != nil {
		return token, err
	}
	cookie, err := r.Cookie(loginCookie)
	if err != nil {
		return "", nil
	}
	token := s.logins.token(cookie.Value, time.Now())
	if token == "" {
		return "", nil
	}
	if _, err := s.opt.Gate.Caller(r.Context(), token, r); errors.Is(err, access.ErrUnproven) {
		s.logins.end(cookie.Value)
		return "", nil
	}
	return token, nil
}

// bearerToken returns the token in a request's Authorization, or nothing.
func bearerToken(r *http.Request) (string, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", nil
	}
	scheme, token, _ := strings.Cut(header, " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errors.New("the Authorization is not of the form Bearer TOKEN")
	}
	return token, nil
}

// LoginInfo is who a browser is logged in as.
type LoginInfo struct {
	// Who is the caller's name, such as token:ci.
	Who string `json:"who"`
	// Login says that there is something to log in for.
	Login bool `json:"login"`
}

// loggedIn tells who the caller is.
func (s *Server) loggedIn(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(LoginInfo{Who: access.Of(r.Context()).Name, Login: !s.opt.Gate.Open()})
}

// login logs a browser in with a token. The cookie cannot be read by scripts, and
// is sent to this server's own pages alone.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	var ask struct{ Token string }
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	// No form of another site's page can send this type.
	if r.Header.Get("Content-Type") != "application/json" || dec.Decode(&ask) != nil {
		http.Error(w, `a token is asked for, as JSON: {"token": "..."}`, http.StatusBadRequest)
		return
	}
	entry := s.entry(r.Context(), "Login")
	grant, err := s.opt.Gate.Caller(r.Context(), strings.TrimSpace(ask.Token), r)
	if err == nil && grant.Name == access.Anonymous {
		err = errors.New("no token was given")
	}
	if err != nil {
		entry.Result = connect.CodeUnauthenticated.String()
		s.opt.Audit.Write(entry)
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	entry.Who, entry.Result = grant.Name, "ok"
	s.opt.Audit.Write(entry)
	cookie := s.cookie(r, s.logins.begin(strings.TrimSpace(ask.Token), time.Now()))
	cookie.MaxAge = int(loginTime.Seconds())
	http.SetCookie(w, cookie)
	s.loggedIn(w, r.WithContext(access.With(r.Context(), grant)))
}

// logout ends the login.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(loginCookie); err == nil {
		s.logins.end(cookie.Value)
	}
	cookie := s.cookie(r, "")
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) cookie(r *http.Request, value string) *http.Cookie {
	return &http.Cookie{
		Name: loginCookie, Value: value, Path: "/", HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	}
}
