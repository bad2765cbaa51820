package fsm

import (
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// The layout, in the system group: nodes, drives, settings and the cluster's record. A command that
// changes any of it writes its index as the layout's version.

// putLayout writes a record of the layout, if it differs from what is stored.
func (a *applier) putLayout(key []byte, m proto.Message) (*metapb.Result, error) {
	b, err := encode(m)
	if err != nil {
		return nil, err
	}
	old, err := a.s.Get(key)
	if err != nil {
		return nil, err
	}
	if string(old) == string(b) {
		version, err := layoutVersion(a.s)
		return &metapb.Result{LayoutVersion: version}, err
	}
	if len(b) == 0 { // settings that are all as by default: no stored value is empty
		err = a.s.Delete(key)
	} else {
		err = a.s.Set(key, b)
	}
	if err != nil {
		return nil, err
	}
	return &metapb.Result{LayoutVersion: a.index}, a.s.Set([]byte{tableLayout}, sequenceValue(a.index))
}

func layoutVersion(r Reader) (uint64, error) {
	b, err := r.Get([]byte{tableLayout})
	switch {
	case err != nil:
		return 0, err
	case b == nil:
		return 0, nil
	case len(b) != sequenceLen:
		return 0, damaged("version of the layout", nil)
	}
	return binary.BigEndian.Uint64(b), nil
}

// expected refuses a change of a record that is not as its command says. state is the record's, -1
// if there is none.
func expected[S ~int32](what string, state S, ifState []S, ifAbsent bool) error {
	switch {
	case ifAbsent && state >= 0:
		return refuse(kind.Conflict, "the %s is known already", what)
	case len(ifState) > 0 && !slices.Contains(ifState, state):
		return refuse(kind.Conflict, "the state of the %s has changed", what)
	}
	return nil
}

func (a *applier) putDrive(c *metapb.PutDrive) (*metapb.Result, error) {
	if err := checkDrive(c.Drive); err != nil {
		return nil, err
	}
	key := tableKey(tableDrive, c.Drive.Id)
	old, rec, state := &metapb.Drive{}, proto.CloneOf(c.Drive), metapb.Drive_State(-1)
	known, err := load(a.s, key, "drive", old)
	if err != nil {
		return nil, err
	}
	if known {
		state = old.State
	}
	if err := expected("drive", state, c.IfState, c.IfAbsent); err != nil {
		return nil, err
	}
	switch {
	case c.StateOnly && !known:
		return nil, refuse(kind.NotFound, "there is no such drive")
	case c.StateOnly:
		rec = proto.CloneOf(old)
		rec.State, rec.Removed = c.Drive.State, c.Drive.Removed
	case !known:
		if err := a.room(tableDrive, maxDrives, rec); err != nil {
			return nil, err
		}
	}
	rec.SinceMs = old.SinceMs
	if rec.State != state {
		rec.SinceMs = a.cmd.NowMs
	}
	return a.putLayout(key, rec)
}

func checkDrive(d *metapb.Drive) error {
	_, knownState := metapb.Drive_State_name[int32(d.GetState())]
	switch {
	case len(d.GetId()) != id.Size || string(d.Id) == string(zeroDrive[:]):
		return refuse(kind.InvalidArgument, "a drive has an ID of 16 bytes")
	case len(d.Node) != 0 && len(d.Node) != id.Size:
		return refuse(kind.InvalidArgument, "a drive's node has an ID of 16 bytes")
	case len(d.Path) > maxPathLen || len(d.Zone) > maxNameLen || proto.Size(d) > maxDetails:
		return refuse(kind.InvalidArgument, "the path or the zone of the drive is too long")
	case !knownState:
		return refuse(kind.InvalidArgument, "a drive has no state %d", d.State)
	}
	return nil
}

func (a *applier) putNode(c *metapb.PutNode) (*metapb.Result, error) {
	if err := checkNode(c.Node); err != nil {
		return nil, err
	}
	key := tableKey(tableNode, c.Node.Id)
	old, rec, state := &metapb.Node{}, proto.CloneOf(c.Node), metapb.Node_State(-1)
	known, err := load(a.s, key, "node", old)
	if err != nil {
		return nil, err
	}
	if known {
		state = old.State
	}
	if err := expected("node", state, c.IfState, c.IfAbsent); err != nil {
		return nil, err
	}
	switch {
	case c.StateOnly && !known:
		return nil, refuse(kind.NotFound, "there is no such node")
	case c.StateOnly:
		rec = proto.CloneOf(old)
		rec.State, rec.Removed = c.Node.State, c.Node.Removed
	case !known:
		if err := a.room(tableNode, maxNodes, rec); err != nil {
			return nil, err
		}
	}
	rec.SinceMs = old.SinceMs
	if rec.State != state {
		rec.SinceMs = a.cmd.NowMs
	}
	return a.putLayout(key, rec)
}

func checkNode(n *metapb.Node) error {
	_, knownState := metapb.Node_State_name[int32(n.GetState())]
	switch {
	case len(n.GetId()) != id.Size || string(n.Id) == string(zeroDrive[:]):
		return refuse(kind.InvalidArgument, "a node has an ID of 16 bytes")
	case len(n.Name) > maxNameLen || len(n.Zone) > maxNameLen:
		return refuse(kind.InvalidArgument, "the name or the zone of the node has more than %d bytes", maxNameLen)
	case len(n.PeerAddress) > maxAddressLen || len(n.S3Address) > maxAddressLen || proto.Size(n) > maxDetails:
		return refuse(kind.InvalidArgument, "an address of the node is too long")
	case !knownState:
		return refuse(kind.InvalidArgument, "a node has no state %d", n.State)
	}
	return nil
}

// room refuses one record more than a table, or the layout, may have.
func (a *applier) room(table byte, limit int, m proto.Message) error {
	n, err := countKeys(a.s, []byte{table}, limit)
	if err != nil {
		return err
	}
	if n >= limit {
		return refuse(kind.InvalidArgument, "a cluster has at most %d of these", limit)
	}
	drives, err := sizeOf(a.s, tableDrive)
	if err != nil {
		return err
	}
	nodes, err := sizeOf(a.s, tableNode)
	if err != nil {
		return err
	}
	if drives+nodes+proto.Size(m)+perRecord > maxLayout {
		return refuse(kind.InvalidArgument, "the layout is full: the records of all drives and nodes, those that are gone included, may have %d bytes", maxLayout)
	}
	return nil
}

// perRecord is what a record costs in a message besides its bytes, at the most.
const perRecord = 8

// sizeOf is how many bytes of a message the records of a table take.
func sizeOf(r Reader, table byte) (n int, err error) {
	prefix := []byte{table}
	it := r.Iterate(prefix)
	defer it.Close()
	for it.Seek(prefix); it.Valid(); it.Next() {
		b, err := it.Value()
		if err != nil {
			return 0, err
		}
		n += len(b) + perRecord
	}
	return n, nil
}

func (a *applier) putSettings(c *metapb.PutSettings) (*metapb.Result, error) {
	s := c.Settings
	switch {
	case s == nil || proto.Size(s) > maxDetails:
		return nil, refuse(kind.InvalidArgument, "no settings")
	case s.RebalanceBytesPerSecond > maxRate:
		return nil, refuse(kind.InvalidArgument, "a rate is at most %d bytes per second", maxRate)
	case s.RepairAfterMs < 0 || s.RepairAfterMs > maxPatienceMs:
		return nil, refuse(kind.InvalidArgument, "repair waits for at least 0 and at most %d ms", maxPatienceMs)
	}
	if c.IfVersion != 0 {
		version, err := layoutVersion(a.s)
		if err != nil {
			return nil, err
		}
		if version != c.IfVersion {
			return nil, refuse(kind.Conflict, "the layout has changed")
		}
	}
	return a.putLayout([]byte{tableSettings}, s)
}

func (a *applier) initCluster(c *metapb.InitCluster) (*metapb.Result, error) {
	if len(c.Cluster.GetId()) != id.Size || proto.Size(c.Cluster) > maxDetails {
		return nil, refuse(kind.InvalidArgument, "a cluster ID has 16 bytes")
	}
	old, err := loadCluster(a.s)
	if err != nil {
		return nil, err
	}
	if old == nil {
		return a.putLayout([]byte{tableCluster}, c.Cluster)
	}
	if string(old.Id) != string(c.Cluster.Id) {
		return nil, refuse(kind.Conflict, "this is cluster %x already", old.Id)
	}
	return &metapb.Result{}, nil
}

func loadCluster(r Reader) (*metapb.Cluster, error) {
	c := &metapb.Cluster{}
	ok, err := load(r, []byte{tableCluster}, "cluster", c)
	if err != nil || !ok {
		return nil, err
	}
	return c, nil
}

func loadSettings(r Reader) (*metapb.Settings, error) {
	s := &metapb.Settings{}
	_, err := load(r, []byte{tableSettings}, "settings", s)
	return s, err
}

func listDrives(r Reader) ([]*metapb.Drive, error) {
	return listAll(r, tableDrive, "drive", maxDrives, func() *metapb.Drive { return &metapb.Drive{} })
}

func listNodes(r Reader) ([]*metapb.Node, error) {
	return listAll(r, tableNode, "node", maxNodes, func() *metapb.Node { return &metapb.Node{} })
}

// listAll reads a table, in the order of its keys.
func listAll[M proto.Message](r Reader, table byte, what string, limit int, fresh func() M) (all []M, err error) {
	prefix := []byte{table}
	it := r.Iterate(prefix)
	defer it.Close()
	for it.Seek(prefix); it.Valid() && len(all) < limit; it.Next() {
		b, err := it.Value()
		if err != nil {
			return nil, err
		}
		m := fresh()
		if err := proto.Unmarshal(b, m); err != nil {
			return nil, damaged(what, err)
		}
		all = append(all, m)
	}
	return all, nil
}

// getLayout answers with all of the layout, or with nothing if the asker knows it.
func getLayout(r Reader, q *metapb.GetLayout) (*metapb.Answer, error) {
	version, err := layoutVersion(r)
	if err != nil || version != 0 && version == q.GetKnownVersion() {
		return &metapb.Answer{}, err
	}
	l := &metapb.ClusterLayout{Version: version}
	if l.Cluster, err = loadCluster(r); err != nil {
		return nil, err
	}
	if l.Nodes, err = listNodes(r); err != nil {
		return nil, err
	}
	if l.Drives, err = listDrives(r); err != nil {
		return nil, err
	}
	if l.Settings, err = loadSettings(r); err != nil {
		return nil, err
	}
	return &metapb.Answer{Layout: l}, nil
}
