package keyfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/internal/keyfile"
)

func TestCreateNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	var won atomic.Int32
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			err := keyfile.Create(path, bytes.Repeat([]byte{byte('a' + n)}, 1000), keyfile.Private)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	b, err := keyfile.Read(path)
	if err != nil || won.Load() != 1 || len(b) != 1000 || len(bytes.Trim(b, string(b[:1]))) != 0 {
		t.Fatalf("%d writers won, %d bytes, %v", won.Load(), len(b), err)
	}
	onlyFile(t, path, 0o600)
}

func TestReplaceLeavesOneFileOfTheGivenMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cert")
	for _, content := range []string{"one", "two, longer", ""} {
		if err := keyfile.Replace(path, []byte(content), keyfile.Public); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != content {
			t.Fatalf("%q, %v", b, err)
		}
		onlyFile(t, path, 0o644)
	}
}

func onlyFile(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Fatalf("the directory has %v, %v", entries, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != mode {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}

func TestReadRefusesWhatOthersMayRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := keyfile.Create(path, []byte("x"), keyfile.Private); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o644, 0o666, 0o601, 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := keyfile.Read(path)
		if !errors.Is(err, keyfile.ErrOpen) || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	for _, mode := range []fs.FileMode{0o600, 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keyfile.Read(path); err != nil {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestReadRefusesWhatIsNoFileOfSecrets(t *testing.T) {
	dir := t.TempDir()
	if _, err := keyfile.Read(dir); err == nil {
		t.Error("a directory was read")
	}
	if _, err := keyfile.Read(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	big := filepath.Join(dir, "big")
	if err := keyfile.Create(big, make([]byte, keyfile.MaxSize+1), keyfile.Private); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.Read(big); err == nil {
		t.Error("a large file was read")
	}
}
