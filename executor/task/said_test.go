package task

import (
	"fmt"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

func secret(name, value string) mesos.Environment_Variable {
	return mesos.Environment_Variable{
		Name: name, Type: mesos.Environment_Variable_SECRET.Enum(),
		Secret: &mesos.Secret{Type: mesos.Secret_VALUE, Value: &mesos.Secret_Value{Data: []byte(value)}},
	}
}

func TestWhatACommandSaysIsOneLineWithoutSecrets(t *testing.T) {
	secrets := secretsOf(&mesos.CommandInfo{Environment: &mesos.Environment{Variables: []mesos.Environment_Variable{
		secret("PASSWORD", "hunter2"), secret("LONGER", "hunter2hunter3"), secret("WORD", "abc"), {Name: "MODE"},
	}}})
	long := strings.Repeat("x", 2*maxSaid)
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                      {"", ""},
		"lines":                        {"curl: (7) Failed\r\n\tto connect\n\n", "curl: (7) Failed to connect"},
		"what is no text":              {"a\x00b\x1b[31mred\xff", "a b [31mred"},
		"a secret":                     {"user:hunter2@db, hunter2hunter3", "user:***@db, ***"},
		"a word that is a secret, too": {"abc", "abc"},
		"the end of much":              {long + " the end", "…" + long[:maxSaid-len(" the end")] + " the end"},
		"much of which a secret is cut in two": {
			"hunter2hunter3" + long[:maxSaid+len("hunter2")], "…" + long[:maxSaid]},
	} {
		s, err := hear(secrets)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprint(s.in, c.text); err != nil {
			t.Fatal(err)
		}
		if got := s.end(); got != c.want {
			t.Errorf("%s: %d bytes %q, want %d bytes %q", name, len(got), got, len(c.want), c.want)
		}
	}
}
