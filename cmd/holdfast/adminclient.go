package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/api/admin"
	"holdfast/api/sigv4"
	"holdfast/cluster/operate"
	"holdfast/internal/keyfile"
	"holdfast/internal/secret"
)

// Where `holdfast dev` leaves what is needed to look at it.
const (
	defaultEndpoint    = "https://127.0.0.1:9000"
	defaultCA          = "holdfast-data/certs/ca.pem"
	defaultCredentials = "holdfast-data/credentials"
)

const (
	// lookTimeout bounds a look: a node asks the others for 3 s at most.
	lookTimeout = 15 * time.Second
	// changeTimeout bounds a change; the server itself gives up after a minute.
	changeTimeout = 70 * time.Second
	// maxAnswer bounds an answer in bytes: a thousand nodes with ten drives each.
	maxAnswer = 64 << 20
)

// adminClient calls the admin API at the first endpoint that is there.
type adminClient struct {
	endpoints   []*url.URL
	current     int // the one that answered last
	http        *http.Client
	credentials sigv4.Credentials
	region      string
}

// apiError is what the API said instead of doing what was asked.
type apiError struct {
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *apiError) Error() string {
	switch {
	case e.Code == "InvalidAccessKeyId" || e.Code == "SignatureDoesNotMatch":
		return e.Message + " (" + e.Code + "): are these the server's root credentials?"
	case e.Code == "":
		return fmt.Sprintf("the server answered %d", e.Status)
	}
	return e.Message + " (" + e.Code + ")"
}

// final reports whether it makes no sense to ask again.
func (e *apiError) final() bool { return e.Status < 500 }

func (f *adminFlags) connect() (*adminClient, error) {
	c := &adminClient{region: f.region}
	for _, given := range f.endpoints {
		for text := range strings.SplitSeq(given, ",") {
			u, err := endpointURL(strings.TrimSpace(text))
			if err != nil {
				return nil, fmt.Errorf("--endpoint %s: %w", text, err)
			}
			c.endpoints = append(c.endpoints, u)
		}
	}
	var err error
	if c.credentials, err = f.credentials(); err != nil {
		return nil, err
	}
	roots, err := f.roots()
	if err != nil {
		return nil, err
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout: 5 * time.Second,
			Proxy:               http.ProxyFromEnvironment,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func (c *adminClient) close() { c.http.CloseIdleConnections() }

func endpointURL(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		return nil, errors.New("want https://HOST:PORT")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// credentials are what the flags say, else the environment, else what `holdfast dev` left here.
func (f *adminFlags) credentials() (sigv4.Credentials, error) {
	if f.accessKey != "" || f.secretKeyFile != "" {
		if f.accessKey == "" || f.secretKeyFile == "" {
			return sigv4.Credentials{}, errors.New("--access-key and --secret-key-file belong together")
		}
		text, err := keyfile.Read(f.secretKeyFile)
		if err != nil {
			return sigv4.Credentials{}, fmt.Errorf("--secret-key-file: %w", err)
		}
		return sigv4.Credentials{AccessKey: f.accessKey, SecretKey: strings.TrimSpace(string(text))}, nil
	}
	file := f.credentialsFile
	if file == "" && os.Getenv(secret.EnvUser) == "" && os.Getenv(secret.EnvPassword) == "" && there(defaultCredentials) {
		file = defaultCredentials
	}
	root, err := rootCredentials(file)
	if err != nil {
		return sigv4.Credentials{}, err
	}
	return sigv4.Credentials{AccessKey: root.User, SecretKey: root.Password()}, nil
}

func there(path string) bool {
	_, err := os.Stat(filepath.FromSlash(path))
	return err == nil
}

// roots are the certificates to trust; nil is those of the system.
func (f *adminFlags) roots() (*x509.CertPool, error) {
	var pool *x509.CertPool
	file := f.ca
	switch {
	case file != "":
		pool = x509.NewCertPool()
	case there(defaultCA):
		file = defaultCA
		if pool, _ = x509.SystemCertPool(); pool == nil {
			pool = x509.NewCertPool()
		}
	default:
		return nil, nil
	}
	pem, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca %s: there is no certificate in it", file)
	}
	return pool, nil
}

// status looks at the cluster.
func (c *adminClient) status(ctx context.Context) (s operate.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return s, c.call(ctx, http.MethodGet, "status", nil, &s)
}

// change has something done. All that the API does may be said twice.
func (c *adminClient) change(ctx context.Context, what string, args url.Values, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	return c.call(ctx, http.MethodPost, what, args, answer)
}

// call asks one endpoint after the other until one answers.
func (c *adminClient) call(ctx context.Context, method, what string, args url.Values, answer any) error {
	var failed error
	for n := range c.endpoints {
		at := (c.current + n) % len(c.endpoints)
		err := c.ask(ctx, c.endpoints[at], method, what, args, answer)
		var told *apiError
		if err == nil || errors.As(err, &told) && told.final() {
			c.current = at
			return err
		}
		if failed == nil || told != nil { // what a server says is better than that there is none
			failed = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

func (c *adminClient) ask(ctx context.Context, endpoint *url.URL, method, what string, args url.Values, answer any) error {
	u := *endpoint
	u.Path, u.RawQuery = admin.Prefix+what, strings.ReplaceAll(args.Encode(), "+", "%20")
	r, err := http.NewRequestWithContext(ctx, method, u.String(), http.NoBody)
	if err != nil {
		return err
	}
	const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	sigv4.Sign(r, c.credentials, c.region, "s3", time.Now(), emptySHA256)
	resp, err := c.http.Do(r)
	if err != nil {
		return unreached(endpoint, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return unreached(endpoint, err)
	}
	if resp.StatusCode >= 300 {
		e := &apiError{}
		if json.Unmarshal(text, e) != nil && resp.StatusCode == http.StatusServiceUnavailable {
			e.Code, e.Message = "ServiceUnavailable", endpoint.String()+" is starting; "+endpoint.String()+"/-/ready says what it waits for"
		}
		e.Status = resp.StatusCode
		return e
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the answer of %s is no answer of this API: %w", endpoint, err)
	}
	return nil
}

// unreached says what to try when an endpoint was not reached.
func unreached(endpoint *url.URL, err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%s shows a certificate of an unknown authority: give the cluster's ca.pem by --ca (%w)", endpoint, err)
	case errors.As(err, &name):
		return fmt.Errorf("%s shows a certificate for other names: use one of these in --endpoint (%w)", endpoint, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer in time; ask another node by --endpoint", endpoint)
	}
	return fmt.Errorf("%s cannot be reached; give a node that runs by --endpoint (%w)", endpoint, err)
}
