package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/api"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

// jobFile is a job with the place where it was read.
type jobFile struct {
	job *tandemv1.Job
	// dir is what relative URIs start from.
	dir string
}

// readJob reads a job file; "-" is the standard input.
func readJob(sys *System, name string) (*jobFile, error) {
	src, shown, err := readSource(sys, name)
	if err != nil {
		return nil, err
	}
	job, err := jobspec.Parse(shown, src)
	if err != nil {
		return nil, &failure{status: exitUsage, lines: strings.Split(err.Error(), "\n"), places: true}
	}
	return &jobFile{job: job, dir: filepath.Dir(name)}, nil
}

func readSource(sys *System, name string) (src []byte, shown string, err error) {
	in := sys.Stdin
	if name != "-" {
		f, err := openFile(name)
		if err != nil {
			return nil, "", err
		}
		defer f.Close()
		in, shown = f, name
	} else {
		shown = "standard input"
	}
	// One byte more than is allowed, so that jobspec sees what is too large.
	src, err = io.ReadAll(io.LimitReader(in, jobspec.MaxSize+1))
	if err != nil {
		return nil, "", failed(exitUsage, "cannot read %s: %s", shown, causeOf(err))
	}
	return src, shown, nil
}

// openFile opens a file that the user has named.
func openFile(name string) (*os.File, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, failed(exitUsage, "there is no file %s", name)
	case err != nil:
		return nil, failed(exitUsage, "cannot read %s: %s", name, causeOf(err))
	case info.IsDir():
		return nil, failed(exitUsage, "%s is a directory, not a file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, failed(exitUsage, "cannot read %s: %s", name, causeOf(err))
	}
	return f, nil
}

// upload brings the files that stand beside the job file to the scheduler, and
// puts their URIs and digests in the job.
func (c *client) upload(ctx context.Context, file *jobFile) error {
	for _, f := range jobspec.LocalFiles(file.job) {
		if err := c.uploadOne(ctx, file.dir, f); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) uploadOne(ctx context.Context, dir string, f *tandemv1.Fetch) error {
	name := filepath.Join(dir, filepath.FromSlash(f.GetUri()))
	content, err := openFile(name)
	if err != nil {
		return err
	}
	defer content.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, content)
	if err != nil {
		return failed(exitUsage, "cannot read %s: %s", name, causeOf(err))
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	if f.GetSha256() != "" && f.GetSha256() != digest {
		return failed(exitUsage, "%s has the SHA-256 %s, and not %s as the job file asks for", name, digest, f.GetSha256())
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return failed(exitUsage, "cannot read %s: %s", name, causeOf(err))
	}
	uri, err := c.put(ctx, digest, filepath.Base(name), content, size)
	if err != nil {
		return fmt.Errorf("cannot upload %s: %w", name, err)
	}
	f.Uri, f.Sha256 = uri, digest
	return nil
}

// put uploads a file unless the scheduler has it, and returns its URI.
func (c *client) put(ctx context.Context, digest, name string, content io.Reader, size int64) (string, error) {
	target := c.base + "/files/" + digest + "/" + url.PathEscape(name)
	head, err := c.request(ctx, http.MethodHead, target, nil, 0)
	if err != nil {
		return "", err
	}
	head.Body.Close()
	if uri := head.Header.Get("Location"); head.StatusCode == http.StatusNoContent && uri != "" {
		return uri, nil
	}
	res, err := c.request(ctx, http.MethodPut, target, content, size)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return "", fmt.Errorf("cannot read the scheduler's answer: %w", err)
	}
	var answer api.Uploaded
	switch {
	case res.StatusCode == http.StatusOK && json.Unmarshal(body, &answer) == nil && answer.URI != "":
		return answer.URI, nil
	case strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain"):
		return "", failed(exitRefused, "the scheduler at %s refuses %s: %s", c.base, name, present.OneLine(string(body)))
	}
	return "", c.stranger(res.Status)
}

func (c *client) request(ctx context.Context, method, target string, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("cannot make the request: %w", err)
	}
	if body != nil {
		req.ContentLength = size
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	return res, nil
}

// missingFiles returns a problem for each file that a job names beside its own
// and that is not there.
func missingFiles(shown, dir string, job *tandemv1.Job) jobspec.Problems {
	var problems jobspec.Problems
	for _, f := range jobspec.LocalFiles(job) {
		name := filepath.Join(dir, filepath.FromSlash(f.GetUri()))
		if file, err := openFile(name); err != nil {
			problems = append(problems, jobspec.Problem{File: shown, Reason: fmt.Sprintf("names a file beside it, but %s", err)})
		} else {
			file.Close()
		}
	}
	return problems
}
