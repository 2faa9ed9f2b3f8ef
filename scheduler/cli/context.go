package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	yaml "go.yaml.in/yaml/v4"

	"github.com/tandem-mesos/tandem/pkg/durable"
)

// contexts are the schedulers that a person works with, by the names that they
// give them. They are kept in one file of that person.
type contexts struct {
	// Current is the context that is used when none is named.
	Current string `yaml:"current,omitempty"`
	// Contexts have the values of the flags that say where a scheduler is and how
	// to reach it.
	Contexts map[string]map[string]string `yaml:"contexts"`
}

var contextName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// contextsPath returns where the file is.
func contextsPath(sys *System) (string, error) {
	if path, ok := sys.Getenv("TANDEM_CONTEXTS"); ok && path != "" {
		return path, nil
	}
	if dir, ok := sys.Getenv("XDG_CONFIG_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "tandem", "contexts.yaml"), nil
	}
	if home, ok := sys.Getenv("HOME"); ok && home != "" {
		return filepath.Join(home, ".config", "tandem", "contexts.yaml"), nil
	}
	return "", failed(exitUsage, "there is no place for contexts: set HOME or TANDEM_CONTEXTS")
}

// readContexts reads the file. One that is not there holds no contexts.
func readContexts(path string) (*contexts, error) {
	c := &contexts{Contexts: map[string]map[string]string{}}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	var content []byte
	if err == nil {
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, failed(exitUsage, "cannot read the contexts: %s", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, failed(exitUsage, "others may write to %s, and so say where tokens are sent: chmod 600 it", path)
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return nil, failed(exitUsage, "%s is no file of contexts: %s", path, causeOf(err))
	}
	for name, flags := range c.Contexts {
		for key := range flags {
			if !slices.Contains(connectionFlags, key) {
				return nil, failed(exitUsage, "%s: context %s: unknown key %q", path, name, key)
			}
		}
	}
	return c, nil
}

// write replaces the file, which nobody else may read.
func (c *contexts) write(path string) error {
	content, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("cannot write the contexts: %w", err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot write the contexts: %w", err)
	}
	f, err := os.CreateTemp(dir, ".contexts-")
	if err != nil {
		return fmt.Errorf("cannot write the contexts: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("cannot write the contexts: %w", err)
	}
	if err := errors.Join(os.Rename(f.Name(), path), durable.SyncDir(dir)); err != nil {
		return fmt.Errorf("cannot write the contexts: %w", err)
	}
	return nil
}

// named returns a context, or why there is none.
func (c *contexts) named(name string) (map[string]string, error) {
	flags, ok := c.Contexts[name]
	if !ok && len(c.Contexts) == 0 {
		return nil, failed(exitUsage, "there is no context %q, nor any other; `tandem context set %s --scheduler URL` makes it", name, name)
	}
	if !ok {
		return nil, failed(exitUsage, "there is no context %q; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(c.Contexts)), ", "))
	}
	return flags, nil
}

// fill sets the flags that neither the command line nor the environment has
// given from a context. One that is named on the command line goes before the
// environment; and the current one is not used by who names a scheduler.
func fill(flags *pflag.FlagSet, sys *System) error {
	if flags.Lookup("context") == nil {
		return fromEnvironment(flags, sys.Getenv)
	}
	named := flags.Changed("context")
	if named && flags.Changed("scheduler") {
		return failed(exitUsage, "--context names a scheduler, and --scheduler another; give one of them")
	}
	if named {
		if err := fromContext(flags, sys, flags.Lookup("context").Value.String()); err != nil {
			return err
		}
	}
	if err := fromEnvironment(flags, sys.Getenv); err != nil || named || flags.Changed("scheduler") {
		return err
	}
	return fromContext(flags, sys, flags.Lookup("context").Value.String())
}

// fromContext sets the flags that were not given from a context; without a name
// from the current one, if there is one.
func fromContext(flags *pflag.FlagSet, sys *System, name string) error {
	path, err := contextsPath(sys)
	if err != nil && name == "" {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := readContexts(path)
	if err != nil {
		return err
	}
	if name == "" {
		if name = all.Current; name == "" {
			return nil
		}
	}
	context, err := all.named(name)
	if err != nil {
		return err
	}
	for key, value := range context {
		if flags.Changed(key) {
			continue
		}
		if err := flags.Set(key, value); err != nil {
			return failed(exitUsage, "context %s: %s: %s", name, key, causeOf(err))
		}
	}
	return nil
}

func newContext(sys *System) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "context",
		Short: "Keep the addresses of schedulers, and how to log in there, by name",
		Long: `A context is a name for a scheduler's address and for what proves to it who is calling. All
verbs that call a scheduler use the current context unless --context names another one, or
--scheduler or TANDEM_SCHEDULER an address.

They are kept in tandem/contexts.yaml in the user's directory of configurations (TANDEM_CONTEXTS
names another file). It holds the paths of tokens and keys, and not these themselves.`,
		Example: `  tandem context set payments --scheduler https://payments.example.org:7070 --token-file ~/.payments.token
  tandem context use payments`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		// What the environment says is not for those who set what is used without it.
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(newContextList(sys), newContextUse(sys), newContextSet(sys), newContextRemove(sys))
	return cmd
}

func newContextList(sys *System) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use: "list", Short: "List the contexts", Args: cobra.NoArgs,
		Example: `  tandem context list`,
		RunE: func(*cobra.Command, []string) error {
			path, err := contextsPath(sys)
			if err != nil {
				return err
			}
			all, err := readContexts(path)
			if err != nil {
				return err
			}
			if out != asText {
				return out.printValue(sys.Stdout, map[string]any{"current": all.Current, "contexts": all.Contexts})
			}
			if len(all.Contexts) == 0 {
				fmt.Fprintln(sys.Stdout, "no contexts; `tandem context set NAME --scheduler URL` makes one")
				return nil
			}
			t := &table{}
			t.add("CURRENT", "NAME", "SCHEDULER", "LOGIN")
			for _, name := range slices.Sorted(maps.Keys(all.Contexts)) {
				context, current, login := all.Contexts[name], "", "none"
				if name == all.Current {
					current = "*"
				}
				switch {
				case context["token-file"] != "":
					login = "token"
				case context["tls-cert"] != "":
					login = "certificate"
				}
				t.add(current, name, context["scheduler"], login)
			}
			t.write(sys)
			return nil
		},
	}
	out.flag(cmd)
	return cmd
}

// changeContexts reads the file, has it changed, writes it, and says what was done.
func changeContexts(sys *System, change func(*contexts) error, done string) error {
	path, err := contextsPath(sys)
	if err != nil {
		return err
	}
	all, err := readContexts(path)
	if err != nil {
		return err
	}
	if err := change(all); err != nil {
		return err
	}
	if err := all.write(path); err != nil {
		return err
	}
	fmt.Fprintln(sys.Stdout, done)
	return nil
}

func newContextUse(sys *System) *cobra.Command {
	return &cobra.Command{
		Use: "use NAME", Short: "Make a context the current one", Args: cobra.ExactArgs(1),
		Example: `  tandem context use payments`,
		RunE: func(_ *cobra.Command, args []string) error {
			return changeContexts(sys, func(all *contexts) error {
				if _, err := all.named(args[0]); err != nil {
					return err
				}
				all.Current = args[0]
				return nil
			}, "context "+args[0]+" is current now")
		},
	}
}

func newContextSet(sys *System) *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Make a context, or change one in what is given", Args: cobra.ExactArgs(1),
		Example: `  tandem context set payments --scheduler https://payments.example.org:7070 --token-file ~/.payments.token`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !contextName.MatchString(args[0]) {
				return failed(exitUsage, "%q is no name of a context: it has 1 to 63 letters, digits and any of . _ -", args[0])
			}
			return changeContexts(sys, func(all *contexts) error {
				context := all.Contexts[args[0]]
				if context == nil {
					context = map[string]string{}
				}
				for _, key := range connectionFlags {
					value := cmd.Flags().Lookup(key).Value.String()
					switch {
					case !cmd.Flags().Changed(key):
						continue
					case value == "":
						delete(context, key)
						continue
					case key != "scheduler":
						var err error
						if value, err = filepath.Abs(value); err != nil {
							return fmt.Errorf("cannot make out where %s is: %w", value, err)
						}
					}
					context[key] = value
				}
				if context["scheduler"] == "" {
					return failed(exitUsage, "context %s has no address yet: give --scheduler URL", args[0])
				}
				if _, err := (connection{scheduler: context["scheduler"]}).url(); err != nil {
					return err
				}
				if all.Contexts == nil {
					all.Contexts = map[string]map[string]string{}
				}
				all.Contexts[args[0]] = context
				if all.Current == "" {
					all.Current = args[0]
				}
				return nil
			}, "context "+args[0]+" is set")
		},
	}
	addressFlags(cmd, &c)
	return cmd
}

func newContextRemove(sys *System) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Forget a context", Args: cobra.ExactArgs(1),
		Example: `  tandem context remove payments`,
		RunE: func(_ *cobra.Command, args []string) error {
			return changeContexts(sys, func(all *contexts) error {
				if _, err := all.named(args[0]); err != nil {
					return err
				}
				delete(all.Contexts, args[0])
				if all.Current == args[0] {
					all.Current = ""
				}
				return nil
			}, "context "+args[0]+" is forgotten")
		},
	}
}
