package cli

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-mesos/tandem/scheduler/access"
)

func newToken(sys *System) *cobra.Command {
	var file string
	var lifetime time.Duration
	cmd := &cobra.Command{
		Use:   "token NAME",
		Short: "Make a token that proves who is calling",
		Long: `Makes a token and prints it, once: it cannot be found out later. What a scheduler needs to
know of it, a hash, is added to the file of its --tokens, which it reads anew by itself. To
take a token away, remove its line.`,
		Example: `  tandem token ci --tokens /etc/tandem/payments.tokens > ci.token`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if file == "" {
				return failed(exitUsage, "name the scheduler's file of tokens with --tokens")
			}
			token, line, err := access.NewToken(args[0])
			if err != nil {
				return failed(exitUsage, "%s", err)
			}
			if lifetime < 0 {
				return failed(exitUsage, "--lifetime: %s is negative", lifetime)
			}
			if lifetime > 0 {
				line += " " + sys.Now().Add(lifetime).UTC().Format(time.RFC3339)
			}
			if err := appendLine(file, line); err != nil {
				return failed(exitFailed, "--tokens: %s", err)
			}
			fmt.Fprintln(sys.Stdout, token)
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "tokens", "", "the scheduler's `file` of tokens")
	cmd.Flags().DurationVar(&lifetime, "lifetime", 0, "how long the token holds; 0: until its line is removed")
	return cmd
}

// appendLine adds a line to a file, which is made when it is not there.
func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = "\n" + line
		}
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Sync())
}
