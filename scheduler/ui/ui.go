// Package ui is the page that people see in a browser: a handful of files,
// served as they stand, which ask the scheduler's API for all that they show.
//
// It must never load anything from elsewhere, take part in a write, or make
// markup of text that came from outside.
package ui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed static
var static embed.FS

// policy lets the page run its own files and ask its own server, and nothing
// else; nobody may frame it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Route adds the page to a mux:
//
//	/                   all jobs
//	/jobs/<job>         one job
//	/tasks/<task ID>    one task
//	/agents, /volumes,
//	/events             what they say
//	/ui/<file>          what the page is made of
func Route(mux *http.ServeMux) error {
	files := map[string]file{}
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := static.ReadFile(name)
		sum := sha256.Sum256(content)
		files[strings.TrimPrefix(name, "static/")] = file{content: content, tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot read the page: %w", err)
	}
	index := func(w http.ResponseWriter, r *http.Request) { files["index.html"].serve(w, r, "index.html") }
	for _, pattern := range []string{"GET /{$}", "GET /jobs/{job...}", "GET /tasks/{task}", "GET /agents", "GET /volumes", "GET /events"} {
		mux.HandleFunc(pattern, index)
	}
	mux.HandleFunc("GET /ui/{file}", func(w http.ResponseWriter, r *http.Request) {
		f, ok := files[r.PathValue("file")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		f.serve(w, r, r.PathValue("file"))
	})
	return nil
}

// file is one of the page's files. Its tag changes with its content, so that a
// browser asks again and is told that it has the right one.
type file struct {
	content []byte
	tag     string
}

var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

func (f file) serve(w http.ResponseWriter, r *http.Request, name string) {
	h := w.Header()
	h.Set("Content-Type", types[path.Ext(name)])
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.content))
}
