package fsm

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"holdfast/proto/metapb"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts answer into testdata/script")

// TestScripts runs testdata/script/*.txt. A block is lines of commands, "----", what they answer,
// and an empty line. Identifiers are short names, padded with zeros; each command has the next
// index, and its time is that many seconds. Run with -rewrite to accept what comes out, and read
// the diff.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			group := uint32(1)
			if strings.HasPrefix(filepath.Base(file), "system") {
				group = 0
			}
			r := &script{s: newGuard(t), group: group}
			got := r.runFile(string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			g, w := strings.Split(got, "\n"), strings.Split(string(text), "\n")
			for i := range min(len(g), len(w)) {
				if g[i] != w[i] {
					t.Fatalf("%s:%d\n got: %s\nwant: %s", file, i+1, g[i], w[i])
				}
			}
			if len(g) != len(w) {
				t.Fatalf("%s: %d lines, expected %d", file, len(g), len(w))
			}
		})
	}
}

type script struct {
	s     *guardStore
	group uint32
	index uint64
}

func (r *script) runFile(text string) string {
	var out strings.Builder
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if line == "----" { // what follows is what the last run answered
			for i+1 < len(lines) && lines[i+1] != "" {
				i++
			}
			continue
		}
		out.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		block := []string{line}
		for i+1 < len(lines) && lines[i+1] != "----" && lines[i+1] != "" {
			i++
			block = append(block, lines[i])
			out.WriteString(lines[i] + "\n")
		}
		out.WriteString("----\n")
		for _, l := range block {
			out.WriteString(r.line(l))
		}
	}
	return out.String()
}

// words is a line: the command, its plain arguments and its name=value ones.
type words struct {
	args []string
	opts map[string]string
}

func parseWords(line string) (string, words) {
	f := strings.Fields(line)
	w := words{opts: map[string]string{}}
	for _, s := range f[1:] {
		if name, value, ok := strings.Cut(s, "="); ok {
			w.opts[name] = value
		} else {
			w.args = append(w.args, s)
		}
	}
	return f[0], w
}

func (w words) arg(i int) string {
	if i < len(w.args) {
		return strings.NewReplacer("~", "\x00", "_", " ").Replace(w.args[i])
	}
	return ""
}

func (w words) opt(name string) string {
	return strings.NewReplacer("~", "\x00", "_", " ").Replace(w.opts[name])
}

func (w words) has(flag string) bool { return slices.Contains(w.args, flag) }

func (w words) num(name string) int64 {
	n, _ := strconv.ParseInt(w.opts[name], 10, 64)
	return n
}

func named(name string) []byte {
	if name == "" || name == "-" {
		return nil
	}
	return append([]byte(name), make([]byte, 16-len(name))...)
}

func dataNamed(group uint32, name string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, group), named(name)[:12]...)
}

func dataNames(group uint32, list []string) (ids [][]byte) {
	for _, n := range list {
		ids = append(ids, dataNamed(group, n))
	}
	return ids
}

func nameOf(b []byte) string {
	if len(b) == 16 && b[0] == 0 && b[1] == 0 {
		b = b[4:]
	}
	return cmp.Or(string(bytes.TrimRight(b, "\x00")), "-")
}

func (w words) mode() metapb.Versioning {
	switch w.opts["mode"] {
	case "enabled":
		return metapb.Versioning_ENABLED
	case "suspended":
		return metapb.Versioning_SUSPENDED
	}
	return metapb.Versioning_UNVERSIONED
}

// retention is what lock=mode:seconds says, nil without.
func (w words) retention() *metapb.Retention {
	mode, until, ok := strings.Cut(w.opts["lock"], ":")
	if !ok {
		return nil
	}
	n, _ := strconv.ParseInt(until, 10, 64)
	r := &metapb.Retention{Mode: metapb.Retention_Mode(metapb.Retention_Mode_value[mode]), UntilMs: n * 1000}
	if mode == "UNKNOWN" {
		r.Mode = 9
	}
	return r
}

func (w words) condition() *metapb.Condition {
	return &metapb.Condition{IfMatch: w.opt("if-match"), IfNoneMatch: w.opt("if-none-match"), IfVersion: named(w.opt("if-version")),
		IfModifiedMs: w.num("if-modified"), IfSize: w.num("if-size")}
}

// part is what data=name:size[:drives] or inline=text says; drives are letters, - is none.
func (r *script) part(number uint32, w words) *metapb.Part {
	p := &metapb.Part{Number: number, Etag: w.opt("etag"), StreamId: named(w.opt("stream")), ModifiedMs: int64(r.index+1) * 1000}
	if text, ok := w.opts["inline"]; ok {
		p.Inline, p.Size = []byte(text), uint64(len(text))
		return p
	}
	f := strings.Split(w.opts["data"], ":")
	p.DataId = dataNamed(r.group, f[0])
	if w.has("foreign") {
		p.DataId[3]++
	}
	if len(f) == 1 {
		return p
	}
	size, _ := strconv.Atoi(f[1])
	p.Size = uint64(size)
	drives := "ABC"
	if len(f) > 2 {
		drives = f[2]
	}
	p.Placement = &metapb.Placement{Layout: &metapb.Layout{K: 2, M: 1, BlockLen: 64, Length: uint64(size)}}
	for _, d := range drives {
		p.Placement.Drives = append(p.Placement.Drives, named(string(d)))
	}
	if len(p.StreamId) == 0 {
		p.StreamId = p.DataId
	}
	return p
}

func (r *script) line(line string) string {
	name, w := parseWords(line)
	if cmd := r.command(name, w); cmd != nil {
		r.index++
		cmd.NowMs = int64(r.index) * 1000
		if cmd.Bucket == nil && r.group > 0 {
			cmd.Bucket = named(cmp.Or(w.opt("bucket"), "bucket"))
		}
		batch := releaseBatch
		if w.num("batch") > 0 {
			batch = int(w.num("batch"))
		}
		a := applier{s: r.s, group: r.group, index: r.index, cmd: cmd, batch: batch, record: maxPartBytes}
		if n := w.num("record"); n > 0 {
			a.record = int(n)
		}
		r.s.writes = 0
		res, err := a.apply()
		if err != nil {
			return fmt.Sprintf("%d: ERROR %v\n", r.index, err)
		}
		if res.Kind != 0 && r.s.writes > 0 && cmd.GetCloseBucket() == nil {
			return "REFUSED AFTER WRITING\n"
		}
		return fmt.Sprintf("%d: %s\n", r.index, describeResult(res))
	}
	if name == "dump" {
		return r.dump(w.arg(0))
	}
	q := r.query(name, w)
	if q == nil {
		return "no such command: " + name + "\n"
	}
	if r.group > 0 {
		q.Bucket = named(cmp.Or(w.opt("bucket"), "bucket"))
	}
	a, err := Answer(r.s, r.group, q)
	if err != nil {
		return fmt.Sprintf("ERROR %v\n", err)
	}
	return describeAnswer(a)
}

func (r *script) command(name string, w words) *metapb.Command {
	cmd := &metapb.Command{Key: w.arg(0)}
	switch name {
	case "put":
		m := &metapb.Manifest{VersionId: named(w.arg(1)), Etag: cmp.Or(w.opt("etag"), "e-"+w.arg(1)), ModifiedMs: w.num("modified")}
		if w.opts["inline"] != "" || w.opts["data"] != "" {
			m.Parts = []*metapb.Part{r.part(1, w)}
			m.Size = m.Parts[0].Size
		}
		if w.has("sealed") {
			m.Envelope = &metapb.Envelope{Version: 1}
		}
		m.Retention, m.LegalHold, m.Owner, m.Tags = w.retention(), w.has("hold"), w.opt("owner"), w.opt("tags")
		cmd.Op = &metapb.Command_PutVersion{PutVersion: &metapb.PutVersion{Manifest: m, Condition: w.condition(), Versioning: w.mode(), ShareFrom: named(w.opt("share"))}}
	case "delete":
		cmd.Op = &metapb.Command_DeleteVersion{DeleteVersion: &metapb.DeleteVersion{VersionId: named(w.opt("version")), NullVersion: w.has("null"),
			MarkerId: named(w.opt("marker")), Condition: w.condition(), Versioning: w.mode(), BypassGovernance: w.has("bypass"), Owner: w.opt("owner")}}
	case "update":
		u := &metapb.UpdateVersion{VersionId: named(w.opt("version")), NullVersion: w.has("null"), Retention: w.retention(), BypassGovernance: w.has("bypass")}
		if w.has("hold") || w.has("free") {
			u.LegalHold = proto.Bool(w.has("hold"))
		}
		if _, ok := w.opts["tags"]; ok {
			u.Tags = proto.String(w.opt("tags"))
		}
		if _, ok := w.opts["acl"]; ok {
			u.Acl = []byte(w.opt("acl"))
		}
		cmd.Op = &metapb.Command_UpdateVersion{UpdateVersion: u}
	case "create":
		cmd.Op = &metapb.Command_CreateUpload{CreateUpload: &metapb.CreateUpload{Upload: &metapb.Upload{UploadId: named(w.arg(1)), VersionId: named(w.opt("version")), InitiatedMs: 7}}}
	case "part":
		n, _ := strconv.Atoi(w.arg(2))
		cmd.Op = &metapb.Command_PutPart{PutPart: &metapb.PutPart{UploadId: named(w.arg(1)), Part: r.part(uint32(n), w)}}
	case "complete":
		c := &metapb.CompleteUpload{UploadId: named(w.arg(1)), VersionId: named(w.opt("version")), Etag: "whole", Condition: w.condition(), Versioning: w.mode(),
			MinPartSize: uint64(w.num("min")), ExpectSize: w.num("expect")}
		for _, a := range w.args[2:] {
			f := strings.Split(a, ":")
			n, _ := strconv.Atoi(f[0])
			p := &metapb.CompletePart{Number: uint32(n), Etag: f[1]}
			if len(f) > 2 {
				p.StreamId = named(f[2])
			}
			c.Parts = append(c.Parts, p)
		}
		cmd.Op = &metapb.Command_CompleteUpload{CompleteUpload: c}
	case "abort":
		cmd.Op = &metapb.Command_AbortUpload{AbortUpload: &metapb.AbortUpload{UploadId: named(w.arg(1))}}
	case "close":
		cmd.Op = &metapb.Command_CloseBucket{CloseBucket: &metapb.CloseBucket{KeepUploads: w.has("keep")}}
	case "open":
		cmd.Op = &metapb.Command_OpenBucket{OpenBucket: &metapb.OpenBucket{}}
	case "grant":
		cmd.Key = ""
		cmd.Op = &metapb.Command_GrantQuota{GrantQuota: &metapb.GrantQuota{QuotaRevision: uint64(w.num("revision")), Unlimited: w.has("unlimited"), Start: w.has("start"),
			AddBytes: uint64(w.num("add")), TakeBytes: uint64(w.num("take"))}}
	case "swap":
		s := &metapb.SwapDrives{DataId: dataNamed(r.group, w.arg(0))}
		for _, a := range w.args[1:] { // index:from:to
			f := strings.Split(a, ":")
			n, _ := strconv.Atoi(f[0])
			s.Swaps = append(s.Swaps, &metapb.Swap{Index: uint32(n), From: named(f[1]), To: named(f[2])})
		}
		cmd.Op = &metapb.Command_SwapDrives{SwapDrives: s}
	case "ack":
		cmd.Op = &metapb.Command_AckGarbage{AckGarbage: &metapb.AckGarbage{DataIds: dataNames(r.group, w.args)}}
	case "ack-repair":
		cmd.Op = &metapb.Command_AckRepair{AckRepair: &metapb.AckRepair{DataIds: dataNames(r.group, w.args)}}
	case "queue":
		cmd.Op = &metapb.Command_QueueRepair{QueueRepair: &metapb.QueueRepair{DataIds: dataNames(r.group, w.args)}}
	case "make-bucket":
		cmd.Op = &metapb.Command_CreateBucket{CreateBucket: &metapb.CreateBucket{MaxBuckets: uint32(w.num("max")),
			Bucket: &metapb.Bucket{Name: w.arg(0), Id: named(w.opt("id")), Owner: w.opt("owner"), ObjectLock: w.has("lock")}}}
	case "update-bucket":
		u := &metapb.UpdateBucket{Name: w.arg(0), Id: named(w.opt("id")), IfRevision: uint64(w.num("if-revision")), Documents: map[string][]byte{}}
		for name, value := range w.opts {
			if doc, ok := strings.CutPrefix(name, "doc-"); ok {
				u.Documents[doc] = []byte(value)
			}
		}
		if mode, ok := w.opts["versioning"]; ok {
			u.Versioning = metapb.Versioning(metapb.Versioning_value[mode]).Enum()
		}
		if w.has("lock") {
			u.ObjectLock = proto.Bool(true)
		}
		cmd.Op = &metapb.Command_UpdateBucket{UpdateBucket: u}
	case "documents": // collection/name/value[/revision|absent|present] …
		p := &metapb.PutDocuments{}
		for _, a := range w.args {
			f := append(strings.Split(a, "/"), "", "", "")
			d := &metapb.DocumentChange{Collection: f[0], Name: f[1], Value: []byte(f[2]), IfAbsent: f[3] == "absent", IfPresent: f[3] == "present"}
			d.IfRevision, _ = strconv.ParseUint(f[3], 10, 64)
			p.Changes = append(p.Changes, d)
		}
		cmd = &metapb.Command{Op: &metapb.Command_PutDocuments{PutDocuments: p}}
	case "mark-bucket":
		cmd.Op = &metapb.Command_MarkBucket{MarkBucket: &metapb.MarkBucket{Name: w.arg(0), State: metapb.Bucket_State(metapb.Bucket_State_value[w.arg(1)])}}
	case "delete-bucket":
		cmd.Op = &metapb.Command_DeleteBucket{DeleteBucket: &metapb.DeleteBucket{Name: w.arg(0), Id: named(w.opt("id"))}}
	case "drive":
		p := &metapb.PutDrive{StateOnly: w.has("state-only"), IfAbsent: w.has("if-absent"), Drive: &metapb.Drive{Id: named(w.arg(0)), Path: w.opt("path"), Node: named(w.opt("node")),
			Zone: w.opt("zone"), CapacityBytes: uint64(w.num("capacity")), Removed: w.has("removed"), State: metapb.Drive_State(metapb.Drive_State_value[w.opt("state")])}}
		for _, s := range strings.FieldsFunc(w.opt("if"), func(r rune) bool { return r == ',' }) {
			p.IfState = append(p.IfState, metapb.Drive_State(metapb.Drive_State_value[s]))
		}
		cmd.Op = &metapb.Command_PutDrive{PutDrive: p}
	case "node":
		p := &metapb.PutNode{StateOnly: w.has("state-only"), IfAbsent: w.has("if-absent"), Node: &metapb.Node{Id: named(w.arg(0)), Name: w.opt("name"), Zone: w.opt("zone"),
			PeerAddress: w.opt("peer"), S3Address: w.opt("s3"), Storage: w.has("storage"), Removed: w.has("removed"), State: metapb.Node_State(metapb.Node_State_value[w.opt("state")])}}
		for _, s := range strings.FieldsFunc(w.opt("if"), func(r rune) bool { return r == ',' }) {
			p.IfState = append(p.IfState, metapb.Node_State(metapb.Node_State_value[s]))
		}
		cmd.Op = &metapb.Command_PutNode{PutNode: p}
	case "settings":
		cmd.Op = &metapb.Command_PutSettings{PutSettings: &metapb.PutSettings{IfVersion: uint64(w.num("if-version")),
			Settings: &metapb.Settings{RebalancePaused: w.has("paused"), RebalanceBytesPerSecond: uint64(w.num("rate")), RepairAfterMs: w.num("after")}}}
	case "cluster":
		cmd.Op = &metapb.Command_InitCluster{InitCluster: &metapb.InitCluster{Cluster: &metapb.Cluster{Id: named(w.arg(0)), Groups: uint32(w.num("groups"))}}}
	default:
		return nil
	}
	return cmd
}

func (r *script) query(name string, w words) *metapb.Query {
	q := &metapb.Query{Key: w.arg(0)}
	limit := uint32(w.num("limit"))
	switch name {
	case "get":
		q.Op = &metapb.Query_GetVersion{GetVersion: &metapb.GetVersion{VersionId: named(w.opt("version")), NullVersion: w.has("null"), WithoutParts: w.has("brief"),
			PlaceFrom: uint64(w.num("from")), PlaceTo: uint64(w.num("to"))}}
	case "list":
		q.Op = &metapb.Query_ListObjects{ListObjects: &metapb.ListObjects{Prefix: w.opt("prefix"), Delimiter: w.opt("delimiter"), After: w.opt("after"), AfterPrefix: w.has("after-prefix"), Limit: limit}}
	case "usage":
		q.Op = &metapb.Query_GetUsage{GetUsage: &metapb.GetUsage{}}
	case "versions":
		n, _ := strconv.ParseUint(w.opts["sequence"], 10, 64)
		q.Op = &metapb.Query_ListVersions{ListVersions: &metapb.ListVersions{Prefix: w.opt("prefix"), Delimiter: w.opt("delimiter"), KeyAfter: w.opt("after"), SequenceAfter: n,
			AfterPrefix: w.has("after-prefix"), Limit: limit, Details: w.has("details")}}
	case "list-documents":
		q.Op = &metapb.Query_ListDocuments{ListDocuments: &metapb.ListDocuments{Collection: w.arg(0), After: w.opt("after"), Limit: limit, KnownRevision: uint64(w.num("known"))}}
	case "uploads":
		q.Op = &metapb.Query_ListUploads{ListUploads: &metapb.ListUploads{Prefix: w.opt("prefix"), Delimiter: w.opt("delimiter"), KeyAfter: w.opt("after"), UploadAfter: named(w.opt("upload")), AfterPrefix: w.has("after-prefix"), Limit: limit}}
	case "upload":
		g := &metapb.GetUpload{UploadId: named(w.arg(1)), WithParts: w.has("parts")}
		for _, a := range w.args[2:] {
			if n, err := strconv.Atoi(a); err == nil {
				g.PartNumbers = append(g.PartNumbers, uint32(n))
			}
		}
		q.Op = &metapb.Query_GetUpload{GetUpload: g}
	case "parts":
		q.Op = &metapb.Query_ListParts{ListParts: &metapb.ListParts{UploadId: named(w.arg(1)), After: uint32(w.num("after")), Limit: limit}}
	case "data":
		q.Op = &metapb.Query_GetData{GetData: &metapb.GetData{DataIds: dataNames(r.group, w.args)}}
	case "scan":
		s := &metapb.ScanData{Limit: limit, OnDrive: named(w.opt("drive")), AnyMissing: w.has("missing")}
		if w.opts["after"] != "" {
			s.After = dataNamed(r.group, w.opts["after"])
		}
		q.Op = &metapb.Query_ScanData{ScanData: s}
	case "garbage":
		q.Op = &metapb.Query_ScanGarbage{ScanGarbage: &metapb.ScanGarbage{Limit: limit}}
	case "repair":
		q.Op = &metapb.Query_ScanRepair{ScanRepair: &metapb.ScanRepair{Limit: limit}}
	case "bucket":
		q.Op = &metapb.Query_GetBucket_{GetBucket_: &metapb.GetBucket{Name: w.arg(0)}}
	case "buckets":
		q.Op = &metapb.Query_ListBuckets{ListBuckets: &metapb.ListBuckets{Prefix: w.opt("prefix"), After: w.opt("after"), Limit: limit}}
	case "get-cluster":
		q.Op = &metapb.Query_GetCluster{GetCluster: &metapb.GetCluster{}}
	case "drives":
		q.Op = &metapb.Query_ListDrives{ListDrives: &metapb.ListDrives{}}
	case "nodes":
		q.Op = &metapb.Query_ListNodes{ListNodes: &metapb.ListNodes{}}
	case "get-settings":
		q.Op = &metapb.Query_GetSettings{GetSettings: &metapb.GetSettings{}}
	case "layout":
		q.Op = &metapb.Query_GetLayout{GetLayout: &metapb.GetLayout{KnownVersion: uint64(w.num("known"))}}
	default:
		return nil
	}
	return q
}
