package vault_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/secret"
	"holdfast/seal/kms/vault"
)

// fake is a Vault with a transit engine and AppRole, as far as their documentation says.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	keys   map[string]*fakeKey
	tokens map[string]bool
	role   [2]string // role ID, secret ID
	logins int
	calls  []string // method and path
	sealed bool
	trap   func(w http.ResponseWriter, r *http.Request) bool // answers in its place
}

type fakeKey struct {
	kind    string
	derived bool
	key     [32]byte
}

func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{keys: map[string]*fakeKey{
		"derived": {kind: "aes256-gcm96", derived: true, key: sha256.Sum256([]byte("1"))},
		"plain":   {kind: "aes256-gcm96", key: sha256.Sum256([]byte("2"))},
		"rsa":     {kind: "rsa-4096"},
	}, tokens: map[string]bool{"t-root-canary": true}, role: [2]string{"role", "s-canary"}}
	f.Server = httptest.NewTLSServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	f.calls = append(f.calls, r.Method+" "+path)
	if f.trap != nil && f.trap(w, r) {
		return
	}
	if path == "sys/health" {
		w.WriteHeader(map[bool]int{false: 200, true: 503}[f.sealed])
		return
	}
	if f.sealed {
		refuse(w, 503, "Vault is sealed")
		return
	}
	var in struct {
		Bits       int    `json:"bits"`
		Plaintext  []byte `json:"plaintext"`
		Ciphertext string `json:"ciphertext"`
		Context    []byte `json:"context"`
		AAD        []byte `json:"associated_data"`
		RoleID     string `json:"role_id"`
		SecretID   string `json:"secret_id"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	if path == "auth/approle/login" {
		f.logins++
		if [2]string{in.RoleID, in.SecretID} != f.role {
			refuse(w, 400, "invalid role or secret ID")
			return
		}
		f.tokens["t-login-canary"] = true
		answer(w, map[string]any{"auth": map[string]any{"client_token": "t-login-canary", "lease_duration": 3600}})
		return
	}
	if !f.tokens[r.Header.Get("X-Vault-Token")] || strings.Contains(path, "forbidden") {
		refuse(w, 403, "permission denied")
		return
	}
	f.transit(w, path, in.Plaintext, in.Ciphertext, in.Context, in.AAD)
}

func (f *fake) transit(w http.ResponseWriter, path string, plaintext []byte, ciphertext string, context, aad []byte) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	k := f.keys[name]
	if k == nil && strings.HasPrefix(path, "transit/keys/") {
		refuse(w, 404)
		return
	}
	if k == nil {
		refuse(w, 400, "encryption key not found")
		return
	}
	switch strings.TrimSuffix(path, name) {
	case "transit/keys/":
		answer(w, data{"type": k.kind, "derived": k.derived, "name": name})
	case "transit/datakey/plaintext/":
		plaintext = make([]byte, 32)
		_, _ = rand.Read(plaintext)
		if k.derived && len(context) == 0 {
			refuse(w, 400, "missing 'context' for key derivation")
			return
		}
		answer(w, data{"plaintext": plaintext, "ciphertext": k.seal(plaintext, context, nil)})
	case "transit/encrypt/":
		answer(w, data{"ciphertext": k.seal(plaintext, context, aad)})
	case "transit/decrypt/":
		plain, err := k.open(ciphertext, context, aad)
		if err != nil {
			refuse(w, 400, "cipher: message authentication failed")
			return
		}
		answer(w, data{"plaintext": plain})
	default:
		refuse(w, 404, "no handler for route")
	}
}

func (k *fakeKey) gcm(context []byte) cipher.AEAD {
	key := k.key
	if k.derived {
		key = sha256.Sum256(append(key[:], context...))
	}
	block, _ := aes.NewCipher(key[:])
	gcm, _ := cipher.NewGCM(block)
	return gcm
}

func (k *fakeKey) seal(plain, context, aad []byte) string {
	nonce := make([]byte, 12)
	_, _ = rand.Read(nonce)
	return "vault:v1:" + base64.StdEncoding.EncodeToString(k.gcm(context).Seal(nonce, nonce, plain, aad))
}

func (k *fakeKey) open(text string, context, aad []byte) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "vault:v1:"))
	if err != nil || len(b) < 28 {
		return nil, os.ErrInvalid
	}
	return k.gcm(context).Open(nil, b[:12], b[12:], aad)
}

type data map[string]any

func answer(w http.ResponseWriter, v any) {
	if d, ok := v.(data); ok {
		v = map[string]any{"data": d, "request_id": "x"}
	}
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, errors ...string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": errors})
}

// set changes the fake while it serves.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) count(call string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if c == call {
			n++
		}
	}
	return n
}

// config is a good one, with a token.
func (f *fake) config(t testing.TB, c *clock) vault.Config {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})))
	return vault.Config{Address: f.URL, CAFile: ca, Token: secret.NewText("t-root-canary"), Rand: rand.Reader, Now: c.Now}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
