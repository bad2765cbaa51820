package vault_test

import (
	"crypto/rand"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/secret"
	"holdfast/seal/kms"
	"holdfast/seal/kms/vault"
)

// TestRealVault runs the same against a server whose address and root token are in the environment.
func TestRealVault(t *testing.T) {
	address, token := os.Getenv("HOLDFAST_TEST_VAULT"), os.Getenv("HOLDFAST_TEST_VAULT_TOKEN")
	if address == "" {
		t.Skip("HOLDFAST_TEST_VAULT is not set")
	}
	c := client(t, vault.Config{Address: address, Token: secret.NewText(token), Rand: rand.Reader, Now: time.Now, CAFile: os.Getenv("HOLDFAST_TEST_VAULT_CA")})
	do := func(method, path, body string) string {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), method, address+"/v1/"+path, strings.NewReader(body))
		req.Header.Set("X-Vault-Token", token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	run := "-" + strings.ToLower(rand.Text()[:8]) // keys of a run before are rotated already
	derived, plain, rsa := "hf-derived"+run, "hf-plain"+run, "hf-rsa"+run
	do("POST", "sys/mounts/transit", `{"type":"transit"}`)
	do("POST", "transit/keys/"+derived, `{"derived":true}`)
	do("POST", "transit/keys/"+plain, `{}`)
	do("POST", "transit/keys/"+rsa, `{"type":"rsa-2048"}`)
	conforms(t, c, derived, plain)
	one, _ := contexts()
	_, err := c.GenerateDataKey(t.Context(), rsa, one)
	wantCode(t, err, kms.InvalidUsage)
	d, err := c.GenerateDataKey(t.Context(), derived, one)
	if err != nil {
		t.Fatal(err)
	}
	do("POST", "transit/keys/"+derived+"/rotate", "")
	if got, err := c.Decrypt(t.Context(), derived, d.Blob, one); err != nil || !same(t, got, d.Key) {
		t.Errorf("after a rotation: %v", err)
	}
	do("POST", "transit/keys/"+derived+"/config", `{"min_decryption_version":2}`)
	_, err = c.Decrypt(t.Context(), derived, d.Blob, one)
	wantCode(t, err, kms.InvalidState)
	do("POST", "transit/keys/"+derived+"/config", `{"min_decryption_version":1}`)
	bad := client(t, vault.Config{Address: address, Token: secret.NewText("canary"), Rand: rand.Reader, Now: time.Now, CAFile: os.Getenv("HOLDFAST_TEST_VAULT_CA")})
	_, err = bad.Decrypt(t.Context(), derived, d.Blob, one)
	wantCode(t, err, kms.AccessDenied)

	// AppRole with no more than the policy of doc.go.
	do("POST", "sys/auth/approle", `{"type":"approle"}`)
	policy := strings.ReplaceAll(`path \"transit/keys/NAME\" { capabilities = [\"read\"] } path \"transit/datakey/plaintext/NAME\" { capabilities = [\"update\"] } path \"transit/decrypt/NAME\" { capabilities = [\"update\"] }`, "NAME", derived)
	do("PUT", "sys/policies/acl/hf", `{"policy":"`+policy+`"}`)
	do("POST", "auth/approle/role/hf", `{"token_policies":"hf"}`)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "id"), field(do("POST", "auth/approle/role/hf/secret-id", ""), `"secret_id":"`))
	role := client(t, vault.Config{Address: address, RoleID: field(do("GET", "auth/approle/role/hf/role-id", ""), `"role_id":"`),
		SecretIDFile: filepath.Join(dir, "id"), Rand: rand.Reader, Now: time.Now, CAFile: os.Getenv("HOLDFAST_TEST_VAULT_CA")})
	if got, err := role.Decrypt(t.Context(), derived, d.Blob, one); err != nil || !same(t, got, d.Key) {
		t.Errorf("AppRole: %v", err)
	}
	if _, err := role.GenerateDataKey(t.Context(), derived, one); err != nil {
		t.Errorf("AppRole: %v", err)
	}
	_, err = role.GenerateDataKey(t.Context(), plain, one)
	wantCode(t, err, kms.AccessDenied)
}

func field(text, name string) string {
	_, rest, _ := strings.Cut(text, name)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
