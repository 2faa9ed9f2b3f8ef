package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"

	"github.com/spf13/pflag"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
)

// mesosAccess says who may use the Mesos of `tandem local --no-scheduler`, and for
// what. Its files have the forms that a real master and agent read.
type mesosAccess struct {
	credentials, httpCredentials, acls string // names of files
}

func (f *mesosAccess) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.credentials, "credentials", "",
		"have frameworks authenticate as principals of this `file`, as Mesos's --credentials (with --no-scheduler)")
	flags.StringVar(&f.httpCredentials, "http-credentials", "",
		"have operators authenticate as principals of this `file`, as Mesos's --http_credentials (with --no-scheduler)")
	flags.StringVar(&f.acls, "acls", "", "what principals may do, in a `file` as Mesos's --acls (with --no-scheduler)")
}

// given names a flag that is set, or is empty.
func (f *mesosAccess) given() string {
	switch {
	case f.credentials != "":
		return "--credentials"
	case f.httpCredentials != "":
		return "--http-credentials"
	case f.acls != "":
		return "--acls"
	}
	return ""
}

// apply reads the files, and has the cluster's master and agents do what they say.
func (f *mesosAccess) apply(o *localmesos.Options) error {
	if f.credentials != "" {
		secrets, err := readCredentials("--credentials", f.credentials)
		if err != nil {
			return err
		}
		o.Master.FrameworkCredentials = secrets
	}
	if f.httpCredentials != "" {
		secrets, err := readCredentials("--http-credentials", f.httpCredentials)
		if err != nil {
			return err
		}
		o.Master.OperatorCredentials, o.Agent.OperatorCredentials = secrets, secrets
		o.Master.AuthenticateReadonly, o.Master.AuthenticateReadwrite = true, true
		o.Agent.AuthenticateReadonly, o.Agent.AuthenticateReadwrite = true, true
	}
	if f.acls != "" {
		text, err := os.ReadFile(f.acls)
		if err != nil {
			return failed(exitUsage, "--acls: cannot read the file: %v", err)
		}
		rules, err := acl.Parse(text)
		if err != nil {
			return failed(exitUsage, "--acls: %s: %v", f.acls, err)
		}
		o.Master.ACLs, o.Agent.ACLs = rules, rules
	}
	return nil
}

// readCredentials reads the secrets of principals.
func readCredentials(flag, file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, failed(exitUsage, "%s: cannot read the file: %v", flag, err)
	}
	secrets, err := parseCredentials(text)
	if err != nil {
		return nil, failed(exitUsage, "%s: %s: %v", flag, file, err)
	}
	return secrets, nil
}

func parseCredentials(text []byte) (map[string]string, error) {
	const form = `{"credentials": [{"principal": "P", "secret": "S"}]}`
	var list struct {
		Credentials []struct{ Principal, Secret string }
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&list); err != nil {
		return nil, errors.New("it is not of the form " + form + ": " + err.Error())
	}
	secrets := map[string]string{}
	for _, c := range list.Credentials {
		switch _, twice := secrets[c.Principal]; {
		case c.Principal == "":
			return nil, errors.New("a principal is missing: the form is " + form)
		case twice:
			return nil, errors.New("the principal " + c.Principal + " is there twice")
		}
		secrets[c.Principal] = c.Secret
	}
	if len(secrets) == 0 {
		return nil, errors.New("nobody is in it: the form is " + form)
	}
	return secrets, nil
}
