package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/keyfile"
	"holdfast/internal/secret"
)

const (
	defaultDevDrives = 6
	maxDevDrives     = 32
)

// devFlags are those of `holdfast dev` alone.
type devFlags struct {
	settings
	drives int
	dir    string
}

func newDev() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a server to try things with; everything it needs is made",
		Long: `Makes a directory with drives, a cluster secret, root credentials and a certificate, starts a
server on it, and prints lines to paste for the AWS CLI, mc and boto3. A second start finds
everything again. Ctrl-C stops it.

All drives are on one disk, so this protects from nothing but a deleted directory. For real use,
see holdfast server.`,
		Example: `  holdfast dev
  holdfast dev --drives 4 --scheme 2+2 --dir /tmp/try --address 127.0.0.1:9100
  HOLDFAST_ROOT_USER=me HOLDFAST_ROOT_PASSWORD=mysecret holdfast dev`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.fromElsewhere(cmd.Flags()); err != nil {
				return err
			}
			cfg, fromEnvironment, err := f.config(cmd.Flags().Changed("drives"))
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, func(s started) error {
				return f.guide(cmd.OutOrStdout(), cfg, s, fromEnvironment)
			})
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.drives, "drives", defaultDevDrives, "number of drives; decided at the first start")
	flags.StringVar(&f.dir, "dir", "holdfast-data", "directory for everything")
	flags.StringVar(&f.address, "address", "127.0.0.1:9000", "address to listen on, for HTTPS and HTTP")
	f.bind(flags)
	return cmd
}

// config makes what is missing below the directory. asked says that the user gave --drives.
func (f *devFlags) config(asked bool) (cfg Config, fromEnvironment bool, err error) {
	if f.drives < 1 || f.drives > maxDevDrives {
		return Config{}, false, fmt.Errorf("--drives %d: 1 to %d", f.drives, maxDevDrives)
	}
	if cfg, err = f.common(); err != nil {
		return Config{}, false, err
	}
	if f.dir, err = filepath.Abs(f.dir); err != nil {
		return Config{}, false, err
	}
	if err = os.MkdirAll(f.dir, 0o700); err != nil {
		return Config{}, false, err
	}
	if err = f.remember(asked); err != nil {
		return Config{}, false, err
	}
	for n := 1; n <= f.drives; n++ {
		cfg.Data = append(cfg.Data, f.drivePath(n))
	}
	cfg.Added = f.added
	cfg.CertsDir = filepath.Join(f.dir, "certs")
	if cfg.Secret, _, err = secret.LoadOrCreate(filepath.Join(f.dir, "cluster.secret"), rand.Reader); err != nil {
		return Config{}, false, err
	}
	cfg.Root, fromEnvironment, err = f.credentials()
	return cfg, fromEnvironment, err
}

// remember keeps the number of drives in a file beside them, so that a start after one was
// deleted makes a new one in its place.
func (f *devFlags) remember(asked bool) error {
	path := filepath.Join(f.dir, "drives")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return keyfile.Create(path, fmt.Appendln(nil, f.drives), keyfile.Public)
	}
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil || n < 1 || n > maxDevDrives:
		return fmt.Errorf("%s does not hold a number of drives", path)
	case asked && n != f.drives:
		return fmt.Errorf("%s was made with %d drives, and --drives %d does not change that; give another --dir", f.dir, n, f.drives)
	}
	f.drives = n
	return nil
}

// added counts a drive that was added as the next of the directory's. Another is not found at the next start.
func (f *devFlags) added(path string) error {
	if path != f.drivePath(f.drives+1) {
		return nil
	}
	f.drives++
	return keyfile.Replace(filepath.Join(f.dir, "drives"), fmt.Appendln(nil, f.drives), keyfile.Public)
}

func (f *devFlags) drivePath(n int) string { return filepath.Join(f.dir, fmt.Sprintf("drive%d", n)) }

func (f *devFlags) credentialsPath() string { return filepath.Join(f.dir, "credentials") }

// credentials come from the environment, or else from the file, which is made when it is not there.
func (f *devFlags) credentials() (root secret.Root, fromEnvironment bool, err error) {
	user, password := os.Getenv(secret.EnvUser), os.Getenv(secret.EnvPassword)
	if user != "" || password != "" {
		root, err = secret.NewRoot(user, password)
		return root, true, err
	}
	root, _, err = secret.LoadOrCreateRoot(f.credentialsPath(), rand.Reader)
	return root, false, err
}

func (f *devFlags) guide(w io.Writer, cfg Config, s started, fromEnvironment bool) error {
	key, _ := newCustomerKey()
	g := guide{
		Version: versionText(), Endpoint: "https://" + s.address, Drives: s.drives, Scheme: s.scheme.String(), Parity: s.scheme.M,
		Dir: f.dir, CA: s.ca, Access: cfg.Root.User, FromEnvironment: fromEnvironment, CredentialsFile: f.credentialsPath(), Key: key,
	}
	if !fromEnvironment {
		g.Secret = cfg.Root.Password()
	}
	if err := g.print(w); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
