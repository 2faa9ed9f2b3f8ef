package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"connectrpc.com/connect"
)

// Uploaded is the body of an answer to an upload that was taken.
type Uploaded struct {
	// URI is what jobs name the file by.
	URI string `json:"uri"`
}

var (
	digestText = regexp.MustCompile(`^[0-9a-f]{64}$`)
	// A file's name becomes the last part of an address, and of a path on
	// agents.
	fileName = regexp.MustCompile(`^[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,127}$`)
)

// wanted returns the digest and the name that a request is about, or answers it.
func (s *Server) wanted(w http.ResponseWriter, r *http.Request) (digest, name string, ok bool) {
	digest, name = r.PathValue("digest"), r.PathValue("name")
	switch {
	case s.opt.Files == nil:
		http.Error(w, "this scheduler takes no files", http.StatusNotImplemented)
	case !digestText.MatchString(digest):
		http.Error(w, "the digest is not 64 small hexadecimal digits", http.StatusBadRequest)
	case !fileName.MatchString(name):
		http.Error(w, "a file's name has 1 to 128 letters, digits and any of . _ + -, and does not start with a dot", http.StatusBadRequest)
	default:
		return digest, name, true
	}
	return "", "", false
}

// find answers 204 with the file's URI in Location, or 404.
func (s *Server) find(w http.ResponseWriter, r *http.Request) {
	digest, name, ok := s.wanted(w, r)
	if !ok {
		return
	}
	uri, ok := s.opt.Files.Find(digest, name)
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Location", uri)
	w.WriteHeader(http.StatusNoContent)
}

// upload keeps the body, whose SHA-256 must be the digest in the path. Doing it
// again is harmless.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	digest, name, ok := s.wanted(w, r)
	if !ok {
		return
	}
	tooLarge := fmt.Sprintf("the file is too large: at most %d bytes are taken; serve it elsewhere, and name its address", s.opt.MaxUpload)
	if r.ContentLength > s.opt.MaxUpload {
		http.Error(w, tooLarge, http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, s.opt.MaxUpload)
	uri, err := s.opt.Files.Put(digest, name, r.Body)
	entry := s.entry(r.Context(), "Upload")
	entry.Details, entry.Result = map[string]string{"sha256": digest, "name": name}, "ok"
	if err != nil {
		entry.Result = connect.CodeInvalidArgument.String()
	}
	s.opt.Audit.Write(entry)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		http.Error(w, tooLarge, http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Uploaded{URI: uri})
}
