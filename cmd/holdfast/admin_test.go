package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/api/admin"
	"holdfast/api/sigv4"
	"holdfast/cluster/operate"
	"holdfast/internal/secret"
)

var update = flag.Bool("update", false, "write what is printed to testdata")

// golden compares what is printed with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%s: %v\n--- got\n%s--- want\n%s", name, err, got, want)
	}
}

var clock = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// healthyStatus is a cluster of four nodes of two drives, and a front.
func healthyStatus() *operate.Status {
	s := &operate.Status{
		Version: "0.3.0", Cluster: "3f2a91c07b1d4e5f8a9b0c1d2e3f4a5b", Scheme: "5+3", Layout: 412, At: clock, Asked: "node1",
		Redundancy: operate.Redundancy{Full: true, MayFail: operate.MayFail{Drives: operate.Tolerance{Reads: 3, Writes: 2}, Nodes: &operate.Tolerance{Reads: 1, Writes: 1}}},
		Repair:     operate.RepairStatus{FullRedundancy: true, Rebuilt: 12, Reclaimed: 4_210, AfterSeconds: 900},
		Rebalance:  operate.RebalanceStatus{LimitPerNode: 64 << 20, LimitDefault: true, Surveyed: true, Scanned: 12_000, MovedReplicas: 3},
		Scrub:      operate.ScrubStatus{Verified: 96_000, Oldest: clock.Add(-26 * time.Hour)},
		Capacity:   operate.Capacity{Total: 8 << 40, Free: 5 << 40, Usable: 5 << 40, UsableFree: 25 << 40 / 8},
	}
	for n := 1; n <= 5; n++ {
		node := operate.NodeStatus{
			ID: fmt.Sprintf("%d%031x", n, 0xabc), Name: fmt.Sprintf("node%d", n), Zone: fmt.Sprintf("rack%d", n), S3: fmt.Sprintf("10.0.0.%d:9000", n), Peer: fmt.Sprintf("10.0.0.%d:9001", n),
			State: operate.StateActive, Alive: true, Storage: n < 5, Since: clock.Add(-time.Hour), Version: "0.3.0", Answered: true,
		}
		if n == 5 {
			node.Name = "front1"
			s.Nodes = append(s.Nodes, node)
			continue
		}
		node.Drives, node.Leads = 2, 4
		if n == 1 {
			node.Leads = 5
		}
		s.Nodes = append(s.Nodes, node)
		for d := range 2 {
			s.Drives = append(s.Drives, operate.DriveStatus{
				ID: fmt.Sprintf("%d%d%030x", n, d, 0xd0d0), Node: node.ID, NodeName: node.Name, Zone: node.Zone, Path: fmt.Sprintf("/mnt/%c", 'a'+d), State: operate.StateActive,
				Alive: true, Since: clock.Add(-time.Hour), Total: 1 << 40, Free: 5 << 37, Shards: 12_000, Replicas: 11,
			})
		}
		s.Scrub.Nodes = append(s.Scrub.Nodes, operate.NodeScrub{Node: node.ID, Name: node.Name, Total: 24_000, Verified: 24_000, Complete: 1, Last: clock.Add(-26 * time.Hour)})
	}
	for g := range uint32(17) {
		n := int(g % 4)
		s.Groups = append(s.Groups, operate.GroupStatus{Number: g, Leader: s.Drives[2*n].ID, LeaderNode: s.Nodes[n].Name, Term: 7, Members: 5, Healthy: 5, Replicas: 5})
	}
	return s
}

// troubledStatus is the same with a dead node, a drive that is drained, and more.
func troubledStatus() *operate.Status {
	s := healthyStatus()
	s.Redundancy = operate.Redundancy{Below: 1_234, AwayDrives: 2, AwayShards: 24_000, LostDrives: 1,
		MayFail: operate.MayFail{Drives: operate.Tolerance{Reads: 1, Writes: 0}, Nodes: &operate.Tolerance{Reads: 0, Writes: 0}, Zones: &operate.Tolerance{Reads: -1, Writes: -1}}}
	s.Nodes[3].Alive, s.Nodes[3].Answered, s.Nodes[3].Since, s.Nodes[3].Version = false, false, clock.Add(-95*time.Second), ""
	for i := 6; i < 8; i++ {
		s.Drives[i].Alive, s.Drives[i].Since = false, clock.Add(-95*time.Second)
		s.Repair.Waiting = append(s.Repair.Waiting, operate.Away{Drive: s.Drives[i].ID, Node: "node4", Path: s.Drives[i].Path, Since: clock.Add(-95 * time.Second), GivenUp: clock.Add(805 * time.Second), Shards: 12_000})
	}
	s.Repair.Lost = []operate.Given{{Drive: "ffff0000", Node: "node2", Path: "/mnt/x"}, {Drive: "eeee0000", Node: "node2", Path: "/mnt/y", Removed: true}}
	s.Repair.Queued, s.Repair.Failed, s.Repair.FullRedundancy = 1_234, 1, false
	d := &s.Drives[1]
	d.State, d.ShardsLeft, d.BytesLeft, d.ReplicasLeft = operate.StateDraining, new(int64(3_210)), new(int64(7<<30)), new(int64(2))
	s.Drives[2].State = operate.StateDraining
	s.Drives[3].Out, s.Drives[3].Reason = true, "input/output error"
	s.Drives[4].ReadOnly = true
	s.Drives[5].State = operate.StateRetired
	s.Rebalance.LeftShards, s.Rebalance.LeftBytes, s.Rebalance.MovedShards, s.Rebalance.MovedBytes, s.Rebalance.LeastBytes = 3_210, 7<<30, 1_000, 2<<30, 9<<30
	s.Rebalance.LeftReplicas, s.Rebalance.BytesPerSecond, s.Rebalance.EtaSeconds, s.Rebalance.WaitingShards, s.Rebalance.Surveyed = 2, 128<<20, 56, 10, false
	s.Scrub.Running, s.Scrub.Done, s.Scrub.Total, s.Scrub.Damaged = true, 6_000, 24_000, 3
	s.Scrub.Nodes[0].Running, s.Scrub.Nodes[0].Began, s.Scrub.Nodes[0].Done, s.Scrub.Nodes[0].Damaged = true, clock.Add(-time.Minute), 6_000, 3
	s.Scrub.Nodes[1].Last = time.Time{}
	s.Groups[4].Healthy, s.Groups[4].Trouble = 4, []string{"the replica on drive 41000000 (node4:/mnt/b) was not heard of lately"}
	s.Groups[5].Leader, s.Groups[5].LeaderNode, s.Groups[5].Healthy, s.Groups[5].Trouble = "", "", 0, []string{"no leader is known"}
	s.Trouble = []string{"node node4 does not answer: start it", "metadata group 5: no leader is known"}
	s.Placement = []string{"4 zones: 2 of 8 shards are in zone \"rack1\""}
	return s
}

func printed(t *testing.T, print func(io.Writer, *operate.Status) error, s *operate.Status) string {
	t.Helper()
	var b bytes.Buffer
	if err := print(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTablesForPeople(t *testing.T) {
	status := func(l looks) func(io.Writer, *operate.Status) error {
		return func(w io.Writer, s *operate.Status) error { return printStatus(w, s, l) }
	}
	golden(t, "admin-status", printed(t, status(looks{}), healthyStatus()))
	golden(t, "admin-status-trouble", printed(t, status(looks{all: true, groups: true}), troubledStatus()))
	golden(t, "admin-rebalance", printed(t, printRebalance, healthyStatus()))
	golden(t, "admin-rebalance-busy", printed(t, printRebalance, troubledStatus()))
	golden(t, "admin-repair", printed(t, printRepair, healthyStatus()))
	golden(t, "admin-repair-busy", printed(t, printRepair, troubledStatus()))
	golden(t, "admin-scrub", printed(t, printScrub, healthyStatus()))
	golden(t, "admin-scrub-busy", printed(t, printScrub, troubledStatus()))
}

func TestTablesAreAligned(t *testing.T) {
	for _, s := range []*operate.Status{healthyStatus(), troubledStatus()} {
		for _, tab := range []*table{nodeTable(s, looks{all: true}), driveTable(s, looks{all: true}), groupTable(s)} {
			for _, row := range tab.rows {
				if len(row) != len(tab.head) {
					t.Errorf("%v does not fit under %v", row, tab.head)
				}
			}
		}
	}
}

func TestUnitsForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 10 << 20: "10.0 MiB", 1023 << 20: "1.00 GiB", 150 << 30: "150 GiB", 1 << 60: "1.00 EiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0 s", -time.Second: "0 s", 59*time.Second + 600*time.Millisecond: "1 min", 200 * time.Second: "3 min 20 s", 2 * time.Hour: "2 h", 47*time.Hour + 59*time.Minute: "47 h 59 min", 76 * time.Hour: "3 d 4 h"} {
		if got := timeText(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := countText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for text, want := range map[string]int64{"default": 0, "64MiB": 64 << 20, "1GiB/s": 1 << 30} {
		if n, err := rateOf(text); err != nil || n != want {
			t.Errorf("%s: %d, %v", text, n, err)
		}
	}
	for _, text := range []string{"0", "fast", "-1", "64MB"} {
		if n, err := rateOf(text); err == nil {
			t.Errorf("%s: %d", text, n)
		}
	}
}

func TestTheToleranceIsToldInWords(t *testing.T) {
	for _, c := range []struct {
		r, w int
		want string
	}{
		{1, 1, "any 1 node; reads and writes go on"}, {2, 1, "any 2 nodes for reads, any 1 node for writes"}, {1, 0, "any 1 node, for reads; none for writes"},
		{0, 0, "no node: with one less, reads or writes stop"}, {-1, -1, "no node: reads and writes may fail already"}, {2, -1, "any 2 nodes, for reads; writes fail already"},
		{0, -1, "no node; writes fail already"}, {-1, 2, "no node: some data may be unreadable already"}, {0, 1, "any 1 node, for writes; none for reads"},
	} {
		if got := toleranceText("node", operate.Tolerance{Reads: c.r, Writes: c.w}); got != c.want {
			t.Errorf("%d, %d: %s", c.r, c.w, got)
		}
	}
}

// fakeCluster is an Operator that answers what a test says.
type fakeCluster struct {
	admin.Operator
	mu     sync.Mutex
	calls  []string
	looked int
	status func(look int) *operate.Status
	change operate.Change
	refuse error
}

func (f *fakeCluster) Status(context.Context) operate.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked++
	return *f.status(f.looked)
}

func (f *fakeCluster) note(format string, args ...any) (operate.Change, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.change, f.refuse
}

func (f *fakeCluster) AddDrive(_ context.Context, node, path string) (operate.Change, error) {
	return f.note("add %s to %q", path, node)
}
func (f *fakeCluster) DrainDrive(_ context.Context, name string) (operate.Change, error) {
	return f.note("drain drive %s", name)
}
func (f *fakeCluster) DrainNode(_ context.Context, name string) (operate.Change, error) {
	return f.note("drain node %s", name)
}
func (f *fakeCluster) UndrainNode(_ context.Context, name string) (operate.Change, error) {
	return f.note("undrain node %s", name)
}
func (f *fakeCluster) RemoveDrive(_ context.Context, name string, force bool) (operate.Change, error) {
	return f.note("remove drive %s force %v", name, force)
}
func (f *fakeCluster) SetRebalanceRate(_ context.Context, n int64) (operate.Settings, error) {
	_, err := f.note("rate %d", n)
	return operate.Settings{Changed: true, RebalanceRate: n}, err
}
func (f *fakeCluster) PauseRebalance(context.Context) (operate.Settings, error) {
	_, err := f.note("pause")
	return operate.Settings{Changed: true, Paused: true}, err
}
func (f *fakeCluster) SetRepairAfter(_ context.Context, d time.Duration) (operate.Settings, error) {
	_, err := f.note("after %s", d)
	return operate.Settings{Changed: true, RepairAfterSeconds: int64(d / time.Second)}, err
}
func (f *fakeCluster) StartScrub(context.Context) (operate.Started, error) {
	_, err := f.note("scrub")
	return operate.Started{Nodes: []string{"node1", "node2"}, Failed: []string{"node3: it is not there"}}, err
}

// office serves the admin API of a fakeCluster over TLS. The environment says where it is.
func office(t *testing.T, f *fakeCluster) *httptest.Server {
	t.Helper()
	if f.status == nil {
		f.status = func(int) *operate.Status { return healthyStatus() }
	}
	api, err := admin.New(admin.Config{Operator: f, Credentials: func(_ context.Context, key string) (sigv4.Credentials, bool, error) {
		return sigv4.Credentials{AccessKey: "operator", SecretKey: "operator-password"}, key == "operator", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewTLSServer(api)
	t.Cleanup(srv.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOLDFAST_ENDPOINT", srv.URL)
	t.Setenv("HOLDFAST_CA", ca)
	t.Setenv("HOLDFAST_INTERVAL", "200ms")
	t.Setenv(secret.EnvUser, "operator")
	t.Setenv(secret.EnvPassword, "operator-password")
	return srv
}

// tool runs an admin command.
func tool(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // one that never ends is interrupted, which tests see
	defer cancel()
	code = run(ctx, append([]string{"admin"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestCommandsDoWhatTheySay(t *testing.T) {
	f := &fakeCluster{change: operate.Change{Changed: true, What: "drive", ID: "x", Message: "drive x is fine", Warnings: []string{"mind the gap"}}}
	office(t, f)
	for _, c := range []struct {
		args string
		want string
		out  string
	}{
		{"drive add /mnt/g --node node2", `add /mnt/g to "node2"`, "drive x is fine\nnote: mind the gap\n"},
		{"drive add /mnt/g", `add /mnt/g to ""`, "drive x is fine\n"},
		{"drive drain node1:/mnt/a", "drain drive node1:/mnt/a", "drive x is fine\n"},
		{"drive remove abcd", "remove drive abcd force false", "drive x is fine\n"},
		{"drive remove abcd --force", "remove drive abcd force true", "drive x is fine\n"},
		{"node drain node4", "drain node node4", "drive x is fine\n"},
		{"node undrain node4", "undrain node node4", "drive x is fine\n"},
		{"rebalance rate 64MiB", "rate 67108864", "its rate is 64.0 MiB/s a node\n"},
		{"rebalance rate default", "rate 0", "its rate is the default\n"},
		{"rebalance pause", "pause", "rebalancing is PAUSED"},
		{"repair after 90m", "after 1h30m0s", "given up after 1 h 30 min\n"},
		{"scrub start", "scrub", "a scrub is under way on 2 nodes\nnote: not on node3: it is not there\n"},
	} {
		f.calls = nil
		code, out, errs := tool(t, strings.Fields(c.args)...)
		if code != 0 || !slices.Equal(f.calls, []string{c.want}) || !strings.Contains(out, c.out) {
			t.Errorf("%s: exit %d, %q\n%s%s", c.args, code, f.calls, out, errs)
		}
		if _, out, _ = tool(t, append(strings.Fields(c.args), "--json")...); !json.Valid([]byte(out)) {
			t.Errorf("%s --json: %s", c.args, out)
		}
	}
}

func TestForceIsNotTakenFromTheEnvironment(t *testing.T) {
	f := &fakeCluster{}
	office(t, f)
	t.Setenv("HOLDFAST_FORCE", "true")
	t.Setenv("HOLDFAST_WAIT", "true")
	if code, _, errs := tool(t, "drive", "remove", "abcd"); code != 0 || !slices.Equal(f.calls, []string{"remove drive abcd force false"}) {
		t.Errorf("exit %d, %q %s", code, f.calls, errs)
	}
}

func TestStatusForPeopleAndForPrograms(t *testing.T) {
	office(t, &fakeCluster{})
	code, out, errs := tool(t, "status")
	if code != 0 || !strings.Contains(out, "scheme 5+3") || !strings.Contains(out, "node4") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	var s operate.Status
	if code, out, errs = tool(t, "status", "--json"); code != 0 || json.Unmarshal([]byte(out), &s) != nil || len(s.Drives) != 8 || !s.Redundancy.Full {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	for _, what := range []string{"rebalance", "repair", "scrub"} {
		if code, out, errs := tool(t, what, "status"); code != 0 || len(out) < 50 {
			t.Errorf("%s: exit %d\n%s%s", what, code, out, errs)
		}
	}
}

func TestARefusalIsToldWithItsReasonAndItsCode(t *testing.T) {
	office(t, &fakeCluster{refuse: &operate.Refused{Code: operate.CodeNotEmpty, Why: "this drive still holds 5 shards"}})
	code, out, errs := tool(t, "drive", "remove", "abcd")
	if code != 1 || out != "" || !strings.Contains(errs, "this drive still holds 5 shards (NotEmpty)") {
		t.Errorf("exit %d %q %q", code, out, errs)
	}
	code, out, _ = tool(t, "drive", "remove", "abcd", "--json")
	var e struct {
		Status        int
		Code, Message string
	}
	if code != 1 || json.Unmarshal([]byte(out), &e) != nil || e.Code != operate.CodeNotEmpty || e.Status != 409 || e.Message == "" {
		t.Errorf("exit %d %q", code, out)
	}
}

func TestWhatIsMissingIsAskedFor(t *testing.T) {
	f := &fakeCluster{}
	srv := office(t, f)
	t.Run("trust", func(t *testing.T) {
		t.Setenv("HOLDFAST_CA", "")
		if code, _, errs := tool(t, "status"); code != 1 || !strings.Contains(errs, "--ca") {
			t.Errorf("exit %d %s", code, errs)
		}
	})
	t.Run("the right password", func(t *testing.T) {
		t.Setenv(secret.EnvPassword, "another-password")
		code, _, errs := tool(t, "status")
		if code != 1 || !strings.Contains(errs, "root credentials?") || strings.Contains(errs, "another-password") {
			t.Errorf("exit %d %s", code, errs)
		}
	})
	t.Run("a password", func(t *testing.T) {
		t.Setenv(secret.EnvUser, "")
		t.Setenv(secret.EnvPassword, "")
		if code, _, errs := tool(t, "status"); code != 1 || !strings.Contains(errs, secret.EnvUser) {
			t.Errorf("exit %d %s", code, errs)
		}
	})
	t.Run("both keys", func(t *testing.T) {
		if code, _, errs := tool(t, "status", "--access-key", "operator"); code != 1 || !strings.Contains(errs, "--secret-key-file") {
			t.Errorf("exit %d %s", code, errs)
		}
	})
	t.Run("a server", func(t *testing.T) {
		if code, _, errs := tool(t, "status", "--endpoint", "127.0.0.1:1"); code != 1 || !strings.Contains(errs, "--endpoint") {
			t.Errorf("exit %d %s", code, errs)
		}
	})
	t.Run("an address", func(t *testing.T) {
		for _, bad := range []string{"ftp://x", "https://x/y", "https://u:p@x"} {
			if code, _, errs := tool(t, "status", "--endpoint", bad); code != 1 || !strings.Contains(errs, "HOST:PORT") {
				t.Errorf("%s: exit %d %s", bad, code, errs)
			}
		}
	})
	t.Run("keys from files", func(t *testing.T) {
		t.Setenv(secret.EnvUser, "")
		t.Setenv(secret.EnvPassword, "")
		key, both := filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "root.env")
		if err := os.WriteFile(key, []byte("operator-password\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(both, []byte("HOLDFAST_ROOT_USER=operator\nHOLDFAST_ROOT_PASSWORD=operator-password\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"--access-key", "operator", "--secret-key-file", key}, {"--credentials-file", both}} {
			if code, _, errs := tool(t, append([]string{"status"}, args...)...); code != 0 {
				t.Errorf("%v: %s", args, errs)
			}
		}
	})
	t.Run("another node", func(t *testing.T) {
		if code, _, errs := tool(t, "status", "--endpoint", "127.0.0.1:1,"+srv.URL); code != 0 {
			t.Errorf("the next node was not asked: %s", errs)
		}
	})
}

func TestAStartingServerIsToldFromARefusal(t *testing.T) {
	office(t, &fakeCluster{})
	starting := httptest.NewServer(http.HandlerFunc(refuseForNow))
	t.Cleanup(starting.Close)
	if code, _, errs := tool(t, "status", "--endpoint", starting.URL); code != 1 || !strings.Contains(errs, "is starting") {
		t.Errorf("exit %d %s", code, errs)
	}
}

// emptying is a drive of which less is left at each look.
func emptying(drive int, lefts ...int64) func(int) *operate.Status {
	return func(look int) *operate.Status {
		s := healthyStatus()
		s.At = clock.Add(time.Duration(look) * time.Second)
		d := &s.Drives[drive]
		if look > len(lefts) {
			d.State = operate.StateRetired
			return s
		}
		d.State = operate.StateDraining
		if left := lefts[look-1]; left >= 0 {
			d.ShardsLeft, d.BytesLeft, d.ReplicasLeft = new(left), new(left<<20), new(int64(1))
		}
		return s
	}
}

func TestADrainIsWaitedForWithRateAndTimeLeft(t *testing.T) {
	f := &fakeCluster{status: emptying(1, -1, 300, 200, 100)}
	f.change = operate.Change{Changed: true, What: "drive", ID: healthyStatus().Drives[1].ID, Message: "it is being emptied"}
	office(t, f)
	code, out, errs := tool(t, "drive", "drain", "node1:/mnt/b", "--wait")
	want := `it is being emptied
counting what is to be moved
300 shards (300 MiB) and 1 metadata replica left
200 shards (200 MiB) and 1 metadata replica left, 100 MiB/s, about 2 s to go
100 shards (100 MiB) and 1 metadata replica left, 100 MiB/s, about 1 s to go
the drive is empty and can be pulled
`
	if code != 0 || out != want {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	f.looked = 0
	_, out, _ = tool(t, "drive", "drain", "node1:/mnt/b", "--wait", "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var last drained
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || !last.Done || len(lines) != 6 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWaitingForANodeWaitsForAllItsDrives(t *testing.T) {
	f := &fakeCluster{}
	f.status = func(look int) *operate.Status {
		s := emptying(0, 50, 20)(look)
		s.Drives[1].State = operate.StateRetired
		return s
	}
	f.change = operate.Change{Changed: true, What: "node", ID: healthyStatus().Nodes[0].ID, Message: "it is being emptied"}
	office(t, f)
	code, out, errs := tool(t, "node", "drain", "node1", "--wait")
	if code != 0 || f.looked != 3 || !strings.Contains(out, "the node is empty") {
		t.Errorf("exit %d after %d looks\n%s%s", code, f.looked, out, errs)
	}
}

func TestWaitingEndsWhenTheDrainIsCalledOff(t *testing.T) {
	f := &fakeCluster{status: func(look int) *operate.Status {
		if look < 2 {
			return emptying(1, 100)(1)
		}
		return healthyStatus()
	}}
	f.change = operate.Change{Changed: true, What: "drive", ID: healthyStatus().Drives[1].ID}
	office(t, f)
	if code, _, errs := tool(t, "drive", "drain", "x", "--wait"); code != 1 || !strings.Contains(errs, "called") {
		t.Errorf("exit %d %s", code, errs)
	}
}

// TestANodeThatHasNotHeardOfTheDrainYetIsAskedAgain: the one that was told has died, say.
func TestANodeThatHasNotHeardOfTheDrainYetIsAskedAgain(t *testing.T) {
	f := &fakeCluster{status: func(look int) *operate.Status {
		if look < 3 {
			return healthyStatus()
		}
		return emptying(1, 100)(look - 2)
	}}
	f.change = operate.Change{Changed: true, What: "drive", ID: healthyStatus().Drives[1].ID, Message: "it is being emptied"}
	office(t, f)
	if code, out, errs := tool(t, "drive", "drain", "x", "--wait"); code != 0 || !strings.Contains(out, "can be pulled") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// TestAWatchOutlivesTheNodeThatWasAsked: the work is the cluster's.
func TestAWatchOutlivesTheNodeThatWasAsked(t *testing.T) {
	f := &fakeCluster{status: emptying(1, 300, 200)}
	f.change = operate.Change{Changed: true, What: "drive", ID: healthyStatus().Drives[1].ID, Message: "it is being emptied"}
	srv := office(t, f)
	var asked int
	dying := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if asked == 1 {
			srv.Config.Handler.ServeHTTP(w, r) // the drain itself
			return
		}
		panic(http.ErrAbortHandler) // dead
	}))
	t.Cleanup(dying.Close)
	code, out, errs := tool(t, "drive", "drain", "x", "--wait", "--endpoint", dying.URL, "--endpoint", srv.URL)
	if code != 0 || !strings.Contains(out, "can be pulled") || asked < 2 {
		t.Errorf("exit %d, asked %d times\n%s%s", code, asked, out, errs)
	}
}

func TestAWatchWaitsForAServerThatIsAway(t *testing.T) {
	f := &fakeCluster{status: emptying(1, 300)}
	f.change = operate.Change{Changed: true, What: "drive", ID: healthyStatus().Drives[1].ID, Message: "it is being emptied"}
	srv := office(t, f)
	var asked int
	flaky := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 2 || asked == 3 {
			refuseForNow(w, r)
			return
		}
		srv.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(flaky.Close)
	code, out, errs := tool(t, "drive", "drain", "x", "--wait", "--endpoint", flaky.URL)
	if code != 0 || !strings.Contains(out, "can be pulled") || strings.Count(out, "trying again") != 1 {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

func TestAnInterruptedWaitSaysThatTheWorkGoesOn(t *testing.T) {
	f := &fakeCluster{status: func(int) *operate.Status { return emptying(1, 100)(1) }}
	f.change = operate.Change{Changed: true, What: "drive", ID: healthyStatus().Drives[1].ID}
	office(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	out := &watched{until: "100 shards", then: cancel}
	var errs bytes.Buffer
	if code := run(ctx, []string{"admin", "drive", "drain", "x", "--wait"}, out, &errs); code != 0 || !strings.Contains(out.String(), "it goes on in the cluster") {
		t.Errorf("exit %d\n%s%s", code, out, errs.String())
	}
}

func TestAWatchGoesOnUntilItIsInterrupted(t *testing.T) {
	f := &fakeCluster{}
	office(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	out := &watched{until: "Cluster", times: 2, then: cancel}
	var errs bytes.Buffer
	if code := run(ctx, []string{"admin", "status", "--watch"}, out, &errs); code != 0 || strings.Contains(out.String(), "\x1b") || f.looked < 2 {
		t.Errorf("exit %d, %d looks\n%s%s", code, f.looked, out, errs.String())
	}
}

func TestAScrubIsWaitedFor(t *testing.T) {
	f := &fakeCluster{status: func(look int) *operate.Status {
		s := healthyStatus()
		s.At = clock.Add(time.Duration(look) * time.Second)
		if look < 3 {
			s.Scrub.Running, s.Scrub.Total, s.Scrub.Done = true, 1000, int64(look)*250
		}
		return s
	}}
	office(t, f)
	code, out, errs := tool(t, "scrub", "start", "--wait")
	if code != 0 || !strings.Contains(out, "500 of about 1,000 shards, 50%, 250 shards/s, about 2 s to go") || !strings.Contains(out, "complete on all nodes") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// watched is an output that does something once it has seen a text so many times.
type watched struct {
	mu    sync.Mutex
	b     bytes.Buffer
	until string
	times int
	then  func()
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.b.Write(p)
	if strings.Count(w.b.String(), w.until) >= max(1, w.times) {
		w.then()
	}
	return n, err
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}
