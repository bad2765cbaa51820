package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// settingsFrom parses what a server would.
func settingsFrom(t *testing.T, file string, args ...string) (serverFlags, error) {
	t.Helper()
	var f serverFlags
	flags := pflag.NewFlagSet("server", pflag.ContinueOnError)
	flags.StringArrayVar(&f.data, "data", nil, "")
	f.settings.bind(flags)
	f.networkFlags.bind(flags)
	if file != "" {
		path := filepath.Join(t.TempDir(), "holdfast.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f, f.fromElsewhere(flags)
}

func TestFlagsComeBeforeEnvironmentBeforeFile(t *testing.T) {
	t.Setenv("HOLDFAST_REGION", "from-env")
	f, err := settingsFrom(t, "zone: file\nregion: file\nscheme: 2+2\ndata: [/a, /b]\nexpect: 4\nreclaim-after: 5m\n", "--zone", "flag")
	if err != nil {
		t.Fatal(err)
	}
	if f.zone != "flag" || f.region != "from-env" || f.scheme != "2+2" || f.expect != 4 || f.reclaimAfter.Minutes() != 5 || !slices.Equal(f.data, []string{"/a", "/b"}) {
		t.Errorf("%+v", f)
	}
}

func TestAWrongConfigFileIsRefusedByLine(t *testing.T) {
	for file, want := range map[string]string{
		"zone: a\nzoen: b\n":     `line 2: there is no setting "zoen"`,
		"expect: many\n":         "line 1: expect:",
		"zone: [a, b]\n":         "it takes one value",
		"data:\n  a: b\n":        "it takes a value, or a list of values",
		"config: other\n":        `no setting "config"`,
		"- a\n":                  "--config",
		"zone: \"unterminated\n": "--config",
	} {
		if _, err := settingsFrom(t, file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", file, err, want)
		}
	}
	if _, err := settingsFrom(t, "", "--config", "/nowhere"); err == nil {
		t.Error("a file that is not there was taken")
	}
}

func TestJoinAddressesGetTheirPort(t *testing.T) {
	f, err := settingsFrom(t, "", "--join", "a,b:7000, [::1] ", "--join", "10.0.0.3", "--expect", "4", "--advertise", "me")
	if err != nil {
		t.Fatal(err)
	}
	n, err := f.network()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a:9001", "b:7000", "[::1]:9001", "10.0.0.3:9001"}; !slices.Equal(n.Join, want) {
		t.Errorf("%q, want %q", n.Join, want)
	}
	for _, wrong := range [][]string{{"--expect", "4"}, {"--expect", "-1"}, {"--join", "a:b"}, {"--join", "a:0"}, {"--repair-after", "0s"}} {
		f, err := settingsFrom(t, "", append(wrong, "--advertise", "me")...)
		if err == nil {
			_, err = f.network()
		}
		if err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}
