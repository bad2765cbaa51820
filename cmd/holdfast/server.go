package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"holdfast/internal/secret"
)

// serverFlags are those of `holdfast server` alone.
type serverFlags struct {
	settings
	networkFlags
	data            []string
	tlsCert, tlsKey string
	certsDir        string
	secretFile      string
	credentialsFile string
}

func newServer() *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a server for real use",
		Long: `Runs a server on the drives given by --data, each a directory, best on a file system of its own.

At the first start, when all of them are empty, it makes a new cluster of them. Later it finds
everything again; an empty directory among the others is a drive that was lost and replaced, and
its shards are rebuilt from the rest.

It needs
  - root credentials:  HOLDFAST_ROOT_USER and HOLDFAST_ROOT_PASSWORD, or --credentials-file
  - the cluster secret: --cluster-secret-file, or HOLDFAST_CLUSTER_SECRET

HTTPS and HTTP share the port. Without --tls-cert and --tls-key the server issues itself a
certificate under a CA of its own, made of the cluster secret, whose certificate is ca.pem in --certs-dir.

Every flag can be set by an environment variable: --log-level is HOLDFAST_LOG_LEVEL, and a
repeatable flag takes its values separated by commas.`,
		Example: `  holdfast secret new > cluster.secret
  export HOLDFAST_ROOT_USER=admin HOLDFAST_ROOT_PASSWORD='at least a dozen characters'
  holdfast server --cluster-secret-file cluster.secret --address :9000 \
    --data /mnt/a --data /mnt/b --data /mnt/c --data /mnt/d --data /mnt/e --data /mnt/f

  # with a certificate of your own, behind a proxy that ends TLS too
  holdfast server --tls-cert cert.pem --tls-key key.pem --trusted-proxy 10.0.0.0/8 …`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.fromElsewhere(cmd.Flags()); err != nil {
				return err
			}
			cfg, err := f.config()
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, nil)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.data, "data", nil, "directory of a drive; repeatable, one a drive")
	flags.StringVar(&f.address, "address", ":9000", "address to listen on, for HTTPS and HTTP")
	flags.StringVar(&f.tlsCert, "tls-cert", "", "certificate chain (PEM), read again when it changes")
	flags.StringVar(&f.tlsKey, "tls-key", "", "its private key (PEM)")
	flags.StringVar(&f.certsDir, "certs-dir", "", "where the server keeps certificates that it makes itself; the default is certs beside the first --data")
	flags.StringVar(&f.secretFile, "cluster-secret-file", "", "file with the cluster secret, mode 0600")
	flags.StringVar(&f.credentialsFile, "credentials-file", "", "file with lines HOLDFAST_ROOT_USER=… and HOLDFAST_ROOT_PASSWORD=…, mode 0600")
	f.settings.bind(flags)
	f.networkFlags.bind(flags)
	return cmd
}

func (f *serverFlags) config() (Config, error) {
	network, err := f.network()
	if err != nil {
		return Config{}, err
	}
	if len(f.data) == 0 && len(network.Join) == 0 {
		return Config{}, errors.New("no drives: give --data DIR for each (or HOLDFAST_DATA, separated by commas); to try things out, run: holdfast dev")
	}
	if (f.tlsCert == "") != (f.tlsKey == "") {
		return Config{}, errors.New("--tls-cert and --tls-key belong together")
	}
	cfg, err := f.common()
	if err != nil {
		return Config{}, err
	}
	cfg.Network = network
	cfg.TLSCert, cfg.TLSKey, cfg.CertsDir = f.tlsCert, f.tlsKey, f.certsDir
	for _, d := range f.data {
		path, err := filepath.Abs(d) // the cluster remembers it, whatever directory the next start is in
		if err != nil {
			return Config{}, err
		}
		if slices.Contains(cfg.Data, path) {
			return Config{}, fmt.Errorf("--data %s is given twice", d)
		}
		cfg.Data = append(cfg.Data, path)
	}
	if cfg.Root, err = rootCredentials(f.credentialsFile); err != nil {
		return Config{}, err
	}
	cfg.Secret, err = clusterSecret(f.secretFile)
	return cfg, err
}

// rootCredentials come from a file, or from the environment.
func rootCredentials(file string) (secret.Root, error) {
	if file != "" {
		return secret.LoadRoot(file)
	}
	user, password := os.Getenv(secret.EnvUser), os.Getenv(secret.EnvPassword)
	if user == "" && password == "" {
		return secret.Root{}, fmt.Errorf(`no root credentials: set them, for example by
  export %s=admin %s="$(openssl rand -hex 20)"
or give --credentials-file with both as lines NAME=value, mode 0600`, secret.EnvUser, secret.EnvPassword)
	}
	return secret.NewRoot(user, password)
}

// envSecret holds the cluster secret itself.
const envSecret = envPrefix + "CLUSTER_SECRET"

func clusterSecret(file string) (secret.Cluster, error) {
	if file != "" {
		return secret.Load(file)
	}
	if text := os.Getenv(envSecret); text != "" {
		return secret.Parse(text)
	}
	return secret.Cluster{}, fmt.Errorf(`no cluster secret: make one by
  holdfast secret new > cluster.secret
and give it by --cluster-secret-file cluster.secret, or in %s. Keep a copy elsewhere`, envSecret)
}
