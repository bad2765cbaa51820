package fsm

import (
	"errors"

	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/proto/metapb"
)

// applier is one run of Apply. Every method first decides and then writes: a refused command has
// changed nothing.
type applier struct {
	s     Store
	group uint32
	index uint64
	cmd   *metapb.Command
	// current is the key of the Current of an object command; object, its tail, is bucket and key
	// as other tables have them.
	current, object []byte
	batch           int // releaseBatch, but for tests
	record          int // maxPartBytes, but for tests
	// releases counts the Release records that this command has written.
	releases uint32
	used     delta         // what this command does to the bucket's usage
	usage    *metapb.Usage // as it was before; nil until it is needed
}

// Apply changes the store as the command says. The result's kind tells a refusal, which changes
// nothing; an error means damage (or a failed store): the replica must stop without committing.
// cmd is not modified, but the result may share memory with it.
//
// index is the command's place in the group's log; it becomes the sequence of a version.
func Apply(s Store, group uint32, index uint64, cmd *metapb.Command) (*metapb.Result, error) {
	if index == 0 {
		return nil, errors.New("fsm: the index of a command begins at 1")
	}
	a := applier{s: s, group: group, index: index, cmd: cmd, batch: releaseBatch, record: maxPartBytes}
	return a.apply()
}

func (a *applier) apply() (*metapb.Result, error) {
	res, err := a.run()
	if err == nil {
		err = a.saveUsage()
	}
	if err == nil {
		return res, nil
	}
	var r *refusal
	if errors.As(err, &r) {
		return &metapb.Result{Kind: uint32(r.kind), Message: r.message}, nil
	}
	return nil, err
}

func (a *applier) run() (*metapb.Result, error) {
	if a.group == meta.SystemGroup {
		return a.runSystem()
	}
	switch op := a.cmd.Op.(type) {
	case *metapb.Command_SwapDrives:
		return a.swapDrives(op.SwapDrives)
	case *metapb.Command_AckGarbage:
		return a.ackGarbage(op.AckGarbage)
	case *metapb.Command_AckRepair:
		return a.ackRepair(op.AckRepair)
	case *metapb.Command_QueueRepair:
		return a.queueRepair(op.QueueRepair)
	}
	if len(a.cmd.Bucket) != id.Size {
		return nil, refuse(kind.InvalidArgument, "a bucket incarnation has 16 bytes")
	}
	switch op := a.cmd.Op.(type) {
	case *metapb.Command_CloseBucket:
		return a.closeBucket(op.CloseBucket)
	case *metapb.Command_OpenBucket:
		return a.openBucket()
	case *metapb.Command_GrantQuota:
		return a.grantQuota(op.GrantQuota)
	}
	if err := checkKey(a.cmd.Key); err != nil {
		return nil, err
	}
	a.current = currentKey(a.cmd.Bucket, a.cmd.Key)
	a.object = a.current[1:]
	switch op := a.cmd.Op.(type) {
	case *metapb.Command_PutVersion:
		return a.putVersion(op.PutVersion)
	case *metapb.Command_UpdateVersion:
		return a.updateVersion(op.UpdateVersion)
	case *metapb.Command_DeleteVersion:
		return a.deleteVersion(op.DeleteVersion)
	case *metapb.Command_CreateUpload:
		return a.createUpload(op.CreateUpload)
	case *metapb.Command_PutPart:
		return a.putPart(op.PutPart)
	case *metapb.Command_CompleteUpload:
		return a.completeUpload(op.CompleteUpload)
	case *metapb.Command_AbortUpload:
		return a.abortUpload(op.AbortUpload)
	}
	return nil, refuse(kind.InvalidArgument, "an object group does not know this command")
}

func (a *applier) runSystem() (*metapb.Result, error) {
	switch op := a.cmd.Op.(type) {
	case *metapb.Command_CreateBucket:
		return a.createBucket(op.CreateBucket)
	case *metapb.Command_MarkBucket:
		return a.markBucket(op.MarkBucket)
	case *metapb.Command_DeleteBucket:
		return a.deleteBucket(op.DeleteBucket)
	case *metapb.Command_PutDrive:
		return a.putDrive(op.PutDrive)
	case *metapb.Command_InitCluster:
		return a.initCluster(op.InitCluster)
	case *metapb.Command_PutNode:
		return a.putNode(op.PutNode)
	case *metapb.Command_PutSettings:
		return a.putSettings(op.PutSettings)
	case *metapb.Command_UpdateBucket:
		return a.updateBucket(op.UpdateBucket)
	case *metapb.Command_PutDocuments:
		return a.putDocuments(op.PutDocuments)
	}
	return nil, refuse(kind.InvalidArgument, "the system group does not know this command")
}

func checkKey(key string) error {
	switch {
	case key == "":
		return refuse(kind.InvalidArgument, "an object key is not empty")
	case len(key) > maxKeyLen:
		return refuse(kind.KeyTooLong, "Your key is too long")
	}
	return nil
}

// checkOpen refuses a closed bucket. A closed bucket has no versions, so that commands which
// found one need not ask.
func (a *applier) checkOpen() error {
	closed, err := has(a.s, tableKey(tableClosed, a.cmd.Bucket), "closed bucket")
	if err != nil {
		return err
	}
	if closed {
		return refuse(kind.NoSuchBucket, "The specified bucket does not exist")
	}
	return nil
}
