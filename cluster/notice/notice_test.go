package notice_test

import (
	"testing"
	"time"

	"holdfast/cluster"
	"holdfast/cluster/notice"
	"holdfast/internal/rpc/rpctest"
)

const believed = 300 * time.Millisecond

// front is a node that takes notices.
func front(t *testing.T, view *cluster.View) (*rpctest.Node, *notice.Board, chan string) {
	t.Helper()
	n, forgotten := rpctest.New(t, nil), make(chan string, 8)
	b, err := notice.New(notice.Config{
		Dialer: n.Pool, View: func() *cluster.View { return view }, Forget: func(name string) { forgotten <- name }, Believed: believed,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Register(n.Server); err != nil {
		t.Fatal(err)
	}
	return n.Serve(t), b, forgotten
}

func TestABucketIsGoneWhenAllHaveForgottenIt(t *testing.T) {
	view := &cluster.View{}
	_, here, own := front(t, view)
	b, _, told := front(t, view)
	view.Nodes = []cluster.NodeView{
		{Local: true, Alive: true, PeerAddress: "127.0.0.1:1"},
		{Alive: true, PeerAddress: b.Address},
	}
	if err := here.BucketChanged(t.Context(), "photos"); err != nil {
		t.Fatal(err)
	}
	if name := <-told; name != "photos" || len(own) > 0 {
		t.Errorf("told of %q", name)
	}

	for name, node := range map[string]cluster.NodeView{
		"one that cannot be reached": {Alive: true, PeerAddress: "127.0.0.1:1"},
		"one that is not alive":      {PeerAddress: b.Address},
	} {
		view.Nodes = append(view.Nodes[:2:2], node)
		start := time.Now()
		if err := here.BucketChanged(t.Context(), "photos"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < believed {
			t.Errorf("%s may believe in the bucket for %v, and it was not waited for longer than %v", name, believed, took)
		}
	}
}
