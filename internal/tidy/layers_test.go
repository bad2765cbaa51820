package tidy

import (
	"slices"
	"strings"
	"testing"
)

// layers lists the directories of the repository from the top down. A package imports only
// packages of a lower layer, and of its own entry. The longest matching entry counts.
func layers() [][]string {
	return [][]string{
		{"scripts"},
		{"cmd/holdfast"},
		{"internal/sim"},
		{"api/console"},
		{"api/s3", "api/admin", "api/iam"},
		{"api/access"},
		{"api/sigv4", "api/policy"},
		{"object"},
		{"cluster/operate", "cluster/notice"},
		{"cluster/repair", "cluster/rebalance", "cluster/layout", "cluster/membership"},
		{"cluster/upkeep"},
		{"cluster"},
		{"cluster/placement", "cluster/gossip", "cluster/forming"},
		{"meta/client"},
		{"meta/wire"},
		{"meta/replica"},
		{"meta/fsm"},
		{"meta", "erasure/fanout"},
		{"seal/kms/vault"},
		{"seal/kms"},
		{"erasure", "seal"},
		{"node/client", "node/server"},
		{"node/drive", "node/wire"},
		{"node"},
		{"bucket"},
		{"internal/rpc"},
		{"proto", "internal/telemetry", "internal/listen", "internal/pki", "internal/secret", "internal/tidy"},
		{"internal"},
	}
}

// place finds a directory's layer (0 is the top) and the entry that it belongs to.
func place(dir string) (layer int, entry string) {
	layer = -1
	for i, l := range layers() {
		for _, e := range l {
			if under(dir, e) && len(e) > len(entry) {
				layer, entry = i, e
			}
		}
	}
	return layer, entry
}

// testOnly are packages which only tests may import.
func testOnly() []string {
	return []string{"internal/sim", "internal/tidy", "internal/rpc/rpctest", "node/nodetest"}
}

func TestPackagesImportOnlyLayersBelow(t *testing.T) {
	arrows := 0
	for _, s := range sources(t) {
		layer, entry := place(s.dir)
		if layer < 0 {
			t.Errorf("%s: directory %s is in no layer; add it to layers()", s.path, s.dir)
			continue
		}
		for _, imported := range s.imports() {
			arrows++
			to, toEntry := place(imported)
			switch {
			case !s.test && slices.ContainsFunc(testOnly(), func(d string) bool { return under(imported, d) }):
				t.Errorf("%s imports %s, which is for tests", s.path, imported)
			case s.test:
				// A test may set up what its package is used by.
			case entry == toEntry, to > layer:
			default:
				t.Errorf("%s imports %s: an arrow up or sideways", s.path, imported)
			}
		}
	}
	if arrows == 0 {
		t.Error("no import between packages of this module was found")
	}
}

// ban says which packages beyond this module a part of it must not import, and why.
type ban struct {
	in     []string // directories
	except []string // directories below them to which it does not apply
	pkgs   []string // import paths; a trailing slash bans all below
	why    string
}

func bans() []ban {
	clockless := []string{"os", "net", "net/", "math/rand", "math/rand/v2"}
	return []ban{
		{in: []string{"meta/fsm"}, pkgs: append(clockless, "crypto/rand", "log/slog"), why: "fsm is pure: every replica must come to the same state"},
		{in: []string{"bucket"}, pkgs: []string{"os", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "log/slog"}, why: "a bucket's settings are pure: the time is passed in"},
		{in: []string{"cluster/placement"}, pkgs: append(clockless, "crypto/rand", "log/slog"), why: "placement is a pure function"},
		{in: []string{"seal"}, except: []string{"seal/kms/vault"}, pkgs: append(clockless, "crypto/rand", "holdfast/proto/metapb", "holdfast/node"),
			why: "seal sees no disk and no network; randomness is passed in"},
		{in: []string{"erasure"}, except: []string{"erasure/fanout"}, pkgs: append(clockless, "crypto/rand", "log/slog"), why: "geometry and code are pure"},
		{in: []string{"api/sigv4", "api/policy"}, pkgs: []string{"os", "crypto/rand", "math/rand", "math/rand/v2"}, why: "they are pure: the clock is passed in"},
		{in: []string{"api/policy"}, pkgs: []string{"net", "net/http", "log/slog", "holdfast/object", "holdfast/object/"}, why: "a policy is text and a request is a value"},
		{in: []string{"object", "cluster", "meta", "erasure", "seal", "node", "proto", "internal"},
			except: []string{"internal/telemetry", "internal/listen", "internal/pki", "internal/sim", "seal/kms/vault"},
			pkgs:   []string{"net/http"}, why: "HTTP is known in api alone"},
		{in: []string{"seal/kms/vault"}, pkgs: []string{"crypto/rand", "math/rand", "math/rand/v2", "holdfast/node", "holdfast/proto/metapb"},
			why: "it reaches a Vault, and is given randomness and the clock"},
		{in: []string{"node", "seal"}, pkgs: []string{"holdfast/proto/metapb"}, why: "shards know no bucket and no key"},
	}
}

func TestPurePackagesStayPure(t *testing.T) {
	for _, s := range sources(t) {
		for _, b := range bans() {
			in := func(d string) bool { return under(s.dir, d) }
			if s.test || !slices.ContainsFunc(b.in, in) || slices.ContainsFunc(b.except, in) {
				continue
			}
			for _, i := range s.file.Imports {
				p := strings.Trim(i.Path.Value, `"`)
				if slices.ContainsFunc(b.pkgs, func(x string) bool { return p == x || strings.HasSuffix(x, "/") && strings.HasPrefix(p, x) }) {
					t.Errorf("%s imports %s: %s", s.path, p, b.why)
				}
			}
		}
	}
}
