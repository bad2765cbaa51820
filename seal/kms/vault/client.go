package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"holdfast/internal/keyfile"
	"holdfast/internal/secret"
	"holdfast/seal/kms"
)

// Client is a KMS in a Vault. It is safe for concurrent use.
type Client struct {
	cfg  Config
	http *http.Client

	mu     sync.Mutex
	token  secret.Text
	since  time.Time // when it was had
	until  time.Time // log in again after this; zero: the token has no end that we know
	logins chan struct{}
	modes  map[string]keyMode
}

// New makes a client. Nothing is asked of the Vault yet.
func New(cfg Config) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	h, err := cfg.httpClient()
	if err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, http: h, logins: make(chan struct{}, 1), modes: map[string]keyMode{}}, nil
}

// Close closes idle connections and forgets the token.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = secret.Text{}
}

// Health asks whether the Vault is unsealed and answers, which needs no token.
func (c *Client) Health(ctx context.Context) error {
	status, err := c.once(ctx, http.MethodGet, "sys/health?standbyok=true&perfstandbyok=true", secret.Text{}, nil, nil)
	switch {
	case err != nil && status == 0:
		return err
	case status == http.StatusOK:
		return nil
	case status == http.StatusServiceUnavailable:
		return unavailable(errors.New("vault: it is sealed"))
	case status == http.StatusNotImplemented:
		return unavailable(errors.New("vault: it is not initialized"))
	}
	return unavailable(fmt.Errorf("vault: health is %d", status))
}

// statusError is an answer of the Vault that is none of the good ones.
type statusError struct {
	status int
	text   string // Vault's own sentences
}

func (e *statusError) Error() string { return fmt.Sprintf("vault: status %d: %s", e.status, e.text) }

// call does one operation with a token, and again where that may help: after faults and
// overload with a pause, and once with a new token where the token is refused.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	renewed := false
	pause := firstPause
	for try := 1; ; try++ {
		token, err := c.login(ctx, secret.Text{})
		status := 0
		if err == nil {
			status, err = c.once(ctx, method, path, token, in, out)
		}
		if status == http.StatusForbidden && !renewed && c.cfg.Token.IsZero() {
			renewed = true
			if _, err := c.login(ctx, token); err != nil {
				return err
			}
			try-- // what was refused was the token
			continue
		}
		if err == nil || !again(err) || try >= c.cfg.Tries {
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return unavailable(ctx.Err())
		}
		pause = min(2*pause, maxPause)
	}
}

// again reports whether the same call may work in a moment.
func again(err error) bool {
	var s *statusError
	if errors.As(err, &s) {
		return s.status == http.StatusTooManyRequests || s.status >= http.StatusInternalServerError
	}
	return kms.CodeOf(err) == kms.Unavailable
}

func unavailable(err error) error {
	return &kms.Error{Code: kms.Unavailable, Message: "The key management service is not available.", Err: err}
}

// once sends one request. A status other than 200 and 204 is a *statusError.
func (c *Client) once(ctx context.Context, method, path string, token secret.Text, in, out any) (int, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return 0, fmt.Errorf("vault: %w", err)
		}
		// It may hold a data key, and is not cleared: the transport may still read it when Do returns.
	}
	req, err := http.NewRequestWithContext(ctx, method, c.cfg.Address+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("vault: %w", err)
	}
	req.Header.Set("X-Vault-Request", "true") // a Vault Agent asks for it, against forged requests
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", c.cfg.Namespace)
	}
	if !token.IsZero() {
		req.Header.Set("X-Vault-Token", token.Reveal())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, unavailable(fmt.Errorf("vault: %w", err)) // net/http names the URL, no header
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	defer clear(answer)
	switch {
	case err != nil:
		return 0, unavailable(fmt.Errorf("vault: read the answer: %w", err))
	case len(answer) > maxResponse:
		return 0, unavailable(fmt.Errorf("vault: an answer of more than %d bytes", maxResponse))
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent:
		return resp.StatusCode, &statusError{resp.StatusCode, sentences(answer)}
	case out == nil:
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		// The text of the error may quote the answer.
		return resp.StatusCode, unavailable(errors.New("vault: an answer that is not the JSON of its API"))
	}
	return resp.StatusCode, nil
}

// sentences are the errors in an answer, cut and printable: somebody's proxy may have made it.
func sentences(answer []byte) string {
	const most = 300
	var e struct {
		Errors []string `json:"errors"`
	}
	if json.Unmarshal(answer, &e) != nil || len(e.Errors) == 0 {
		return "no reason given"
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.Join(e.Errors, "; "), "?"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// login gives a token that is not the refused one: from the configuration, from its file, or by
// AppRole. Of those who need a new one at once, one gets it.
func (c *Client) login(ctx context.Context, refused secret.Text) (secret.Text, error) {
	if !c.cfg.Token.IsZero() {
		return c.cfg.Token, nil
	}
	select {
	case c.logins <- struct{}{}:
		defer func() { <-c.logins }()
	case <-ctx.Done():
		return secret.Text{}, unavailable(ctx.Err())
	}
	c.mu.Lock()
	token, since, until := c.token, c.since, c.until
	c.mu.Unlock()
	now := c.cfg.Now()
	ended := !until.IsZero() && !now.Before(until)
	// A token that is refused soon after it was had is refused for what was asked: clients that ask
	// for keys which the policy forbids must not make a login each.
	other := token.Reveal() != refused.Reveal() || now.Sub(since) < loginPause
	if !token.IsZero() && !ended && other {
		return token, nil
	}
	token, until, err := c.newToken(ctx)
	if err != nil {
		return secret.Text{}, err
	}
	c.mu.Lock()
	c.token, c.since, c.until = token, now, until
	c.mu.Unlock()
	return token, nil
}

func (c *Client) newToken(ctx context.Context) (secret.Text, time.Time, error) {
	if c.cfg.TokenFile != "" {
		text, err := secretFile(c.cfg.TokenFile)
		return secret.NewText(text), time.Time{}, err
	}
	id, err := secretFile(c.cfg.SecretIDFile)
	if err != nil {
		return secret.Text{}, time.Time{}, err
	}
	in := struct {
		RoleID   string `json:"role_id"`
		SecretID string `json:"secret_id"`
	}{c.cfg.RoleID, id}
	var out struct {
		Auth struct {
			Token   string `json:"client_token"`
			Seconds int64  `json:"lease_duration"`
		} `json:"auth"`
	}
	if _, err := c.once(ctx, http.MethodPost, "auth/"+c.cfg.AuthMount+"/login", secret.Text{}, in, &out); err != nil {
		if s := (*statusError)(nil); errors.As(err, &s) && !again(err) {
			return secret.Text{}, time.Time{}, &kms.Error{Code: kms.AccessDenied, Message: "Access Denied", Err: fmt.Errorf("AppRole login: %w", err)}
		}
		return secret.Text{}, time.Time{}, err
	}
	if out.Auth.Token == "" {
		return secret.Text{}, time.Time{}, unavailable(errors.New("vault: AppRole gave no token"))
	}
	until := time.Time{}
	if s := min(out.Auth.Seconds, int64(365*24*time.Hour/time.Second)); s > 0 {
		until = c.cfg.Now().Add(time.Duration(s) * time.Second * 9 / 10)
	}
	return secret.NewText(out.Auth.Token), until, nil
}

// secretFile reads one line from a file that only its owner may read.
func secretFile(path string) (string, error) {
	b, err := keyfile.Read(path)
	if err != nil {
		return "", unavailable(fmt.Errorf("vault: read a secret: %w", err))
	}
	defer clear(b)
	text := string(bytes.TrimSpace(b))
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", unavailable(fmt.Errorf("vault: %s is not one line of printable text", path))
	}
	return text, nil
}
