package tidy

import (
	"bytes"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGeneratedCodeMatchesItsSource makes the .pb.go files again and compares. The comment with
// the generators' versions may differ.
func TestGeneratedCodeMatchesItsSource(t *testing.T) {
	for _, tool := range []string{"protoc", "protoc-gen-go"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	versions := regexp.MustCompile(`(?m)^//.*protoc(-gen-go)? +v.*$`)
	checked := 0
	for _, f := range tracked(t) {
		if !strings.HasSuffix(f, ".proto") {
			continue
		}
		checked++
		into := t.TempDir()
		cmd := exec.Command("protoc", "--proto_path=.", "--go_out="+into, "--go_opt=paths=source_relative", path.Base(f))
		cmd.Dir = filepath.Join(root(t), path.Dir(f))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("protoc %s: %v\n%s", f, err, out)
			continue
		}
		name := strings.TrimSuffix(f, ".proto") + ".pb.go"
		fresh, err := os.ReadFile(filepath.Join(into, path.Base(name)))
		if err != nil {
			t.Fatal(err)
		}
		have, err := os.ReadFile(filepath.Join(root(t), name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(versions.ReplaceAll(fresh, nil), versions.ReplaceAll(have, nil)) {
			t.Errorf("%s does not match %s: run go generate ./proto/...", name, f)
		}
	}
	if checked == 0 {
		t.Error("no .proto file was found")
	}
}
