package artifact

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
)

// tokenHeader has the token of Share.
const tokenHeader = "Tandem-Copy-Token"

// maxList bounds the list of another scheduler's files, in bytes.
const maxList = 16 << 20

// Share lets whoever has the token, which is no empty one, list the files. It is
// called before anything is served. A file is fetched by whoever knows its digest;
// nobody else is to learn it.
func (a *Artifacts) Share(token string) { a.token = token }

// list answers with the files that are here, as a JSON array of
// "<sha256>/<name>".
func (a *Artifacts) list(w http.ResponseWriter, r *http.Request) {
	if a.token == "" || subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), []byte(a.token)) != 1 {
		http.Error(w, "no such artifact", http.StatusNotFound)
		return
	}
	files := []string{}
	dirs, err := os.ReadDir(a.dir)
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		var entries []os.DirEntry
		if entries, err = os.ReadDir(path.Join(a.dir, d.Name())); err != nil {
			break
		}
		for _, e := range entries {
			if _, ok := a.Find(d.Name(), e.Name()); ok {
				files = append(files, d.Name()+"/"+e.Name())
			}
		}
	}
	if err != nil {
		http.Error(w, "cannot look through the directory of artifacts", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(files)
}

// CopyFrom copies every file that the scheduler at the address, such as
// http://10.0.0.7:7070, has and that is not here, and returns how many those were.
// The token is what the other has been told by Share. It blocks until that is
// done, ctx ends or one fails.
func (a *Artifacts) CopyFrom(ctx context.Context, client *http.Client, address, token string) (copied int, err error) {
	address = strings.TrimSuffix(address, "/") + Prefix
	body, err := fetch(ctx, client, address, token)
	if err != nil {
		return 0, err
	}
	var files []string
	err = json.NewDecoder(io.LimitReader(body, maxList)).Decode(&files)
	body.Close()
	if err != nil {
		return 0, fmt.Errorf("cannot read the list at %s: %w", address, err)
	}
	for _, file := range files {
		digest, name, _ := strings.Cut(file, "/")
		if _, ok := a.Find(digest, name); ok {
			continue
		}
		body, err := fetch(ctx, client, address+file, "")
		if err != nil {
			return copied, err
		}
		_, err = a.Put(digest, name, body)
		body.Close()
		if err != nil {
			return copied, fmt.Errorf("cannot copy %s: %w", address+file, err)
		}
		copied++
	}
	return copied, nil
}

func fetch(ctx context.Context, client *http.Client, address, token string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set(tokenHeader, token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("cannot fetch %s: %w", address, errors.New(resp.Status))
	}
	return resp.Body, nil
}
