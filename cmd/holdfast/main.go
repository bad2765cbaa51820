// Command holdfast is the whole of Holdfast in one binary: the server, a server with everything
// made for you (dev), and the tools that make keys and secrets.
//
// One file holds one command; serve.go is the only place that wires the packages together.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default comes back: a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(stderr, "holdfast:", err)
		return 1
	}
	return 0
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "An S3-compatible object store that encrypts with your key and survives lost drives",
		Long: `Holdfast keeps objects, erasure-coded, on several drives and speaks the S3 API.
Clients may bring their own key with each request (SSE-C): it is never stored.`,
		Example: `  holdfast dev                        # a server to try things with, everything made for you
  holdfast key new                    # a key for SSE-C
  holdfast secret new > cluster.secret
  holdfast server --data /mnt/a --data /mnt/b --data /mnt/c --cluster-secret-file cluster.secret`,
		SilenceUsage:      true, // an error says what was wrong; the whole usage would bury it
		SilenceErrors:     true,
		DisableAutoGenTag: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newDev(), newServer(), newAdmin(), newKey(), newSecret(), newVersion())
	return root
}
