package gossip

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/memberlist"

	"holdfast/internal/id"
)

// Node is what a member says of itself.
type Node struct {
	Cluster     id.Cluster
	ID          id.Node
	Name, Zone  string
	PeerAddress string // host:port of gRPC
	S3Address   string
	Storage     bool // it has drives
}

// Member is a node as seen from here.
type Member struct {
	Node
	Alive bool
	Since time.Time // when Alive last changed
	Left  bool      // not alive, because it said that it goes
	// Address is host:port of its gossip.
	Address string
}

const (
	metaVersion  = 1
	flagStorage  = 1
	maxTextBytes = 255 // of one text: its length is one byte
)

var errMeta = errors.New("gossip: what a member says of itself does not make sense")

// encode is the wire form: see the package's doc.
func (n Node) encode() ([]byte, error) {
	b := append(make([]byte, 0, memberlist.MetaMaxSize), metaVersion)
	b = append(append(b, n.Cluster[:]...), n.ID[:]...)
	var flags byte
	if n.Storage {
		flags |= flagStorage
	}
	b = append(b, flags)
	for _, text := range []string{n.Name, n.Zone, n.PeerAddress, n.S3Address} {
		if len(text) > maxTextBytes {
			return nil, fmt.Errorf("gossip: a name, zone or address has %d bytes; at most %d", len(text), maxTextBytes)
		}
		b = append(append(b, byte(len(text))), text...)
	}
	if len(b) > memberlist.MetaMaxSize {
		return nil, fmt.Errorf("gossip: name, zone and addresses of the node have %d bytes too many", len(b)-memberlist.MetaMaxSize)
	}
	return b, nil
}

// decode reads the wire form, of this version or of a newer one that adds to it.
func decode(b []byte) (n Node, err error) {
	const fixed = 1 + 2*id.Size + 1
	if len(b) < fixed || b[0] < metaVersion || len(b) > memberlist.MetaMaxSize {
		return Node{}, errMeta
	}
	copy(n.Cluster[:], b[1:])
	copy(n.ID[:], b[1+id.Size:])
	n.Storage = b[fixed-1]&flagStorage != 0
	b = b[fixed:]
	for _, into := range []*string{&n.Name, &n.Zone, &n.PeerAddress, &n.S3Address} {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return Node{}, errMeta
		}
		text := b[1 : 1+int(b[0])]
		if !utf8.Valid(text) {
			return Node{}, errMeta
		}
		*into, b = string(text), b[1+len(text):]
	}
	if n.ID == (id.Node{}) || n.Cluster.IsZero() {
		return Node{}, errMeta
	}
	return n, nil
}
