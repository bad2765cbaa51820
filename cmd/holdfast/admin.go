package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// adminFlags are those of all `holdfast admin` commands.
type adminFlags struct {
	endpoints       []string
	ca              string
	accessKey       string
	secretKeyFile   string
	credentialsFile string
	region          string
	json            bool
	interval        time.Duration
}

// minInterval keeps a watch from being a load.
const minInterval = 200 * time.Millisecond

func newAdmin() *cobra.Command {
	f := &adminFlags{}
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Look after a cluster: its nodes, drives, redundancy and background work",
		Long: `Shows how a cluster is, and changes it while it runs. Any node can be asked, and answers for all.

What is begun goes on in the cluster: these commands only watch. One that was interrupted, or whose node
died, is started again and finds the work where it stands.

It needs
  - a node:       --endpoint, or HOLDFAST_ENDPOINT; with several the next is asked when one is not there
  - the CA:       --ca, where the nodes' certificates are not from a public one
  - credentials:  HOLDFAST_ROOT_USER and HOLDFAST_ROOT_PASSWORD, or --credentials-file,
                  or --access-key with --secret-key-file

In the directory where holdfast dev runs, its CA and credentials are found without any of these.

A drive is named by its ID, by the first digits of it, or as NODE:PATH; a node by its name or ID.`,
		Example: `  holdfast admin status
  holdfast admin status --endpoint https://node2:9000 --ca ca.pem --credentials-file root.env
  holdfast admin drive drain node1:/mnt/a --wait
  holdfast admin rebalance status --watch
  holdfast admin status --json | jq .redundancy`,
		Args: cobra.NoArgs,
	}
	p := cmd.PersistentFlags()
	p.StringArrayVar(&f.endpoints, "endpoint", []string{defaultEndpoint}, "a node's S3 address; repeatable, or separated by commas")
	p.StringVar(&f.ca, "ca", "", "certificates (PEM) to trust; the default is "+defaultCA+" where it is there, and those of the system")
	p.StringVar(&f.accessKey, "access-key", "", "access key, with --secret-key-file")
	p.StringVar(&f.secretKeyFile, "secret-key-file", "", "file with the secret key alone, mode 0600")
	p.StringVar(&f.credentialsFile, "credentials-file", "", "file with lines HOLDFAST_ROOT_USER=… and HOLDFAST_ROOT_PASSWORD=…, mode 0600")
	p.StringVar(&f.region, "region", "us-east-1", "region that requests are signed for, as the server has it")
	p.BoolVar(&f.json, "json", false, "print JSON, for programs; with --watch or --wait an object a line")
	p.DurationVar(&f.interval, "interval", 2*time.Second, "time between looks with --watch or --wait")
	cmd.AddCommand(f.newStatus(), f.newDrive(), f.newNode(), f.newRebalance(), f.newRepair(), f.newScrub())
	return cmd
}

// session is one run of an admin command.
type session struct {
	*adminFlags
	client *adminClient
	out    *screen
	now    func() time.Time
}

// run makes a command's RunE of what it does in a session.
func (f *adminFlags) run(do func(ctx context.Context, s *session, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		connection := cmd.InheritedFlags() // --force and the like are never taken from the environment
		if err := fromEnv(connection); err != nil {
			return err
		}
		if f.interval < minInterval {
			return fmt.Errorf("--interval %s: at least %s", f.interval, minInterval)
		}
		client, err := f.connect()
		if err != nil {
			return err
		}
		defer client.close()
		s := &session{adminFlags: f, client: client, out: newScreen(cmd.OutOrStdout()), now: time.Now}
		err = do(cmd.Context(), s, args)
		var told *apiError
		if f.json && errors.As(err, &told) { // programs read the code there
			if printed := s.printJSON(told); printed != nil {
				return printed
			}
		}
		return err
	}
}

func (s *session) printJSON(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s\n", text)
	return err
}

// screen is where a command prints. On a terminal a watch draws over what it drew before.
type screen struct {
	io.Writer
	terminal bool
}

func newScreen(w io.Writer) *screen {
	s := &screen{Writer: w}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil {
			s.terminal = info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
		}
	}
	return s
}

const (
	clearScreen = "\x1b[H\x1b[2J"
	clearLine   = "\r\x1b[K"
)
