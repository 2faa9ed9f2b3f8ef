package jobspec

import "strings"

// artifacts begins the URI of a file that was uploaded to the scheduler which
// runs the job. The rest is the SHA-256 of its content, a slash and its name.
// Such a URI says nothing of the scheduler's address, which may change.
const artifacts = "artifact:///"

// ArtifactURI returns the URI of an uploaded file.
func ArtifactURI(digest, name string) string { return artifacts + digest + "/" + name }

// AddressOf returns where agents fetch what a job's URI names. Base is where the
// scheduler's uploaded files are, such as http://10.0.0.7:7070/artifacts/; other
// URIs stay as they are.
func AddressOf(uri, base string) string {
	if file, ok := strings.CutPrefix(uri, artifacts); ok {
		return base + file
	}
	return uri
}
