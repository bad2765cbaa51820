package replica_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/meta/replica"
	"holdfast/meta/replica/replicatest"
)

// recorder is a Transport to nowhere that keeps what was sent.
type recorder struct{ sent chan *pb.Message }

func (r recorder) Send(msgs []replica.Message) {
	for _, m := range msgs {
		if m.Raft != nil {
			r.sent <- m.Raft
		}
	}
}

func (r recorder) Stream(context.Context, replica.SnapshotHead, func() ([]byte, error)) error {
	return errors.New("nowhere")
}

// voteFor asks the replica with raft ID 1 on a drive for its vote.
func voteFor(t *testing.T, h *replica.Host, r recorder, drives []*replicatest.Drive, candidate, term uint64) (granted bool) {
	t.Helper()
	h.Deliver([]replica.Message{{
		Group: 0, From: drives[candidate-1].ID, To: drives[0].ID,
		Raft: &pb.Message{
			Type: pb.MsgVote.Enum(), From: new(candidate), To: new(uint64(1)), Term: new(term), Index: new(uint64(1)), LogTerm: new(uint64(1)),
		},
	}})
	deadline := time.After(5 * time.Second)
	for {
		select {
		case m := <-r.sent:
			if m.GetType() == pb.MsgVoteResp && m.GetTo() == candidate {
				return !m.GetReject()
			}
		case <-deadline:
			t.Fatal("no answer to a vote")
		}
	}
}

func TestVoteIsRememberedAfterAPowerCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drives := testDrives(3)
		cfg := testConfig(t, 1, drives[0])
		cfg.Beginning = beginning(3, drives)
		r := recorder{make(chan *pb.Message, 10000)}
		cfg.Transport = r
		for round := range uint64(5) {
			h, err := replica.Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			term := 10 + round
			if !voteFor(t, h, r, drives, 2, term) {
				t.Errorf("term %d: the first candidate was refused", term)
			}
			powerCut(h, drives[0])
			if h, err = replica.Open(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			if voteFor(t, h, r, drives, 3, term) {
				t.Errorf("term %d: voted twice", term)
			}
			if !voteFor(t, h, r, drives, 2, term) {
				t.Errorf("term %d: took its vote back", term)
			}
			powerCut(h, drives[0])
		}
	})
}
