package wire

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/replica"
)

func heartbeat(group uint32, from, to byte) replica.Message {
	return replica.Message{
		Group: group, From: id.Drive{from}, To: id.Drive{to},
		Raft: &pb.Message{Type: pb.MsgHeartbeat.Enum(), From: new(uint64(from)), To: new(uint64(to)), Term: new(uint64(7)), Commit: new(uint64(9))},
	}
}

func appended(group uint32, from, to byte, data []byte) replica.Message {
	m := heartbeat(group, from, to)
	m.Raft.Type = pb.MsgApp.Enum()
	m.Raft.Entries = []*pb.Entry{{Index: new(uint64(10)), Term: new(uint64(7)), Data: data}}
	return m
}

func encoded(t testing.TB, msgs []replica.Message) []byte {
	t.Helper()
	var e messageEncoder
	e.reset(nil)
	for i := range msgs {
		if err := e.add(&msgs[i]); err != nil {
			t.Fatal(err)
		}
	}
	return e.buf
}

func same(a, b replica.Message) bool {
	equal := proto.Equal(a.Raft, b.Raft) && (a.Raft == nil) == (b.Raft == nil)
	a.Raft, b.Raft = nil, nil
	return equal && reflect.DeepEqual(a, b)
}

func TestMessagesComeOutAsTheyWentIn(t *testing.T) {
	learner := heartbeat(4, 1, 2)
	learner.Learner = true
	lost := heartbeat(4, 1, 2)
	lost.Raft.Type = pb.MsgUnreachable.Enum()
	in := []replica.Message{
		heartbeat(1, 1, 2), appended(2, 1, 2, bytes.Repeat([]byte("d"), 5000)), heartbeat(3, 3, 2), learner, lost,
		{Group: 5, From: id.Drive{1}, To: id.Drive{9}, Gone: 12}, {Group: 6, From: id.Drive{1}, To: id.Drive{9}, Ask: 13},
	}
	frame := encoded(t, in)
	out, err := decodeMessages(nil, frame)
	if err != nil || len(out) != len(in) {
		t.Fatalf("%d messages, %v", len(out), err)
	}
	clear(frame) // nothing may refer to it
	for i := range in {
		if !same(in[i], out[i]) {
			t.Errorf("message %d: %+v, want %+v", i, out[i], in[i])
		}
	}
}

func TestRunsEndWhereTheCountDoes(t *testing.T) {
	in := make([]replica.Message, maxRun+10)
	for i := range in {
		in[i] = replica.Message{Group: uint32(i), From: id.Drive{1}, To: id.Drive{2}, Gone: 1}
	}
	out, err := decodeMessages(nil, encoded(t, in))
	if err != nil || len(out) != len(in) || out[maxRun+9].Group != maxRun+9 {
		t.Errorf("%d messages, %v", len(out), err)
	}
}

func TestMessagesThatHarmAReplicaAreRefused(t *testing.T) {
	for _, kind := range []pb.MessageType{
		pb.MsgHup, pb.MsgProp, pb.MsgSnap, pb.MsgStorageAppend, pb.MsgStorageApplyResp, pb.MsgTransferLeader, pb.MsgReadIndex, pb.MsgCheckQuorum,
	} {
		m := heartbeat(1, 1, 2)
		m.Raft.Type = kind.Enum()
		if _, err := decodeMessages(nil, encoded(t, []replica.Message{m})); err == nil {
			t.Errorf("%s got in", kind)
		}
	}
	m := heartbeat(1, 1, 2)
	m.Raft.Responses = []*pb.Message{{}}
	if _, err := decodeMessages(nil, encoded(t, []replica.Message{m})); err == nil {
		t.Error("responses got in")
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(encoded(f, []replica.Message{heartbeat(1, 1, 2), appended(2, 1, 2, []byte("data")), {Group: 5, Gone: 12}, {Group: 6, Ask: 13}}))
	f.Add([]byte{version})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		msgs, err := decodeMessages(nil, frame)
		if err != nil {
			return
		}
		again, err := decodeMessages(nil, encoded(t, msgs))
		if err != nil || len(again) != len(msgs) {
			t.Fatalf("%d of %d messages, %v", len(again), len(msgs), err)
		}
		for i := range msgs {
			if !same(msgs[i], again[i]) {
				t.Fatalf("message %d: %+v, then %+v", i, msgs[i], again[i])
			}
		}
	})
}

func TestRequestsAndAnswersComeOutAsTheyWentIn(t *testing.T) {
	requests := []request{
		{number: 1, op: opPropose, timeout: 8 * time.Second, group: 3, payload: []byte("command")},
		{number: 2, op: opHints, timeout: time.Millisecond, payload: []byte{}},
	}
	frame := []byte{version}
	for _, r := range requests {
		frame = r.append(frame)
	}
	var got []request
	if err := decodeRequests(frame, func(r request) { got = append(got, r) }); err != nil || !reflect.DeepEqual(got, requests) {
		t.Errorf("%+v, %v", got, err)
	}
	answers := []answer{{number: 1, status: statusUnknown, full: true, group: 3, payload: unknownPayload(&replica.UnknownError{Index: 5, Term: 6, After: 4})}, {number: 2, led: post{7, 8}, payload: []byte{}}}
	frame = []byte{version}
	for _, a := range answers {
		frame = a.append(frame)
	}
	var back []answer
	if err := decodeAnswers(frame, func(a answer) { back = append(back, a) }); err != nil || !reflect.DeepEqual(back, answers) {
		t.Errorf("%+v, %v", back, err)
	}
	if err := decodeAnswers([]byte{version}, func(answer) { t.Error("an empty frame has an answer") }); err != nil {
		t.Error(err)
	}
}

func TestStatusesMeanWhatTheyMeantToTheLeader(t *testing.T) {
	if err := (&answer{status: statusUnknown, group: 4, payload: unknownPayload(&replica.UnknownError{Index: 5, Term: 6, After: 4})}).err(); !reflect.DeepEqual(err, &replica.UnknownError{Group: 4, Index: 5, Term: 6, After: 4}) {
		t.Error(err)
	}
	if err := (&answer{status: statusOverloaded}).err(); err != replica.ErrOverloaded {
		t.Error(err)
	}
	if err := (&answer{status: statusError, payload: errorPayload(kind.New(kind.Full, "no room"))}).err(); !kind.Is(err, kind.Full) || err.Error() != "no room" {
		t.Error(err)
	}
	// An error that claims that nothing happened is not believed: that has a status of its own.
	if err := (&answer{status: statusError, payload: errorPayload(kind.New(kind.NotLeader, "x"))}).err(); kind.Is(err, kind.NotLeader) {
		t.Error(err)
	}
	if (&answer{status: 77}).err() == nil {
		t.Error("an unknown status is a success")
	}
}

func FuzzCalls(f *testing.F) {
	r := request{number: 1, op: opAskMany, timeout: time.Second, payload: batchPayload([]uint32{1, 2}, []byte("query"))}
	f.Add(r.append([]byte{version}))
	a := answer{number: 1, status: statusOK, payload: appendHints(nil, []hint{{known: hintLeads, drive: id.Drive{1}, led: post{3, 4}}})}
	f.Add(a.append([]byte{version}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		total := 0
		_ = decodeRequests(frame, func(r request) {
			total += len(r.payload)
			groups, _, err := decodeBatch(r.payload)
			if err == nil && len(groups)*4 > len(r.payload) {
				t.Fatal("groups out of nothing")
			}
			_, _ = decodeHead(r.payload)
		})
		_ = decodeAnswers(frame, func(a answer) {
			_ = a.err()
			_ = decodeHints(a.payload)
			_, _, _ = decodeOutcome(a.payload)
		})
		if total > len(frame) {
			t.Fatal("payloads larger than the frame")
		}
	})
}

func TestEveryCutOfAFrameIsRefusedOrShorter(t *testing.T) {
	frame := encoded(t, []replica.Message{heartbeat(1, 1, 2), appended(2, 1, 3, []byte("data"))})
	for n := range frame {
		if msgs, err := decodeMessages(nil, frame[:n]); err == nil && len(msgs) > 1 {
			t.Errorf("%d of %d bytes give %d messages", n, len(frame), len(msgs))
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		b := bytes.Clone(frame)
		b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
		_, _ = decodeMessages(nil, b)
	}
}
