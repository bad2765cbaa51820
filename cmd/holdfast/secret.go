package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"holdfast/internal/keyfile"
	"holdfast/internal/secret"
)

func newSecret() *cobra.Command {
	root := &cobra.Command{
		Use:     "secret",
		Short:   "Make the cluster secret",
		Example: "  holdfast secret new > cluster.secret",
		Args:    cobra.NoArgs,
	}
	var file string
	create := &cobra.Command{
		Use:   "new",
		Short: "Print a new cluster secret, or write it to a file",
		Long: `Makes the secret that all nodes of a cluster share: 32 random bytes in base64. Every key
between nodes derives from it. Keep a copy elsewhere; whoever has it can join the cluster.

A file that receives the output gets mode 0600, which the server insists on.`,
		Example: `  holdfast secret new > cluster.secret
  holdfast secret new --file cluster.secret      # refuses to replace a file
  export HOLDFAST_CLUSTER_SECRET="$(holdfast secret new)"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return makeSecret(cmd.OutOrStdout(), file) },
	}
	create.Flags().StringVar(&file, "file", "", "write to this file, which must not be there yet, with mode 0600")
	root.AddCommand(create)
	return root
}

func makeSecret(stdout io.Writer, file string) error {
	var raw [secret.Size]byte
	rand.Read(raw[:]) //nolint:errcheck // it cannot fail: crypto/rand ends the process instead
	text := base64.StdEncoding.EncodeToString(raw[:]) + "\n"
	if file != "" {
		err := keyfile.Create(file, []byte(text), keyfile.Private)
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%s is there already; it may be the secret of a cluster, so it is left alone", file)
		}
		return err
	}
	// The shell made the file that our output goes to, as open as its umask lets it be.
	if f, ok := stdout.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			if err := f.Chmod(keyfile.Private); err != nil {
				return err
			}
		}
	}
	_, err := io.WriteString(stdout, text)
	return err
}
