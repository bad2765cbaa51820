package drive

import (
	"errors"
	"io/fs"
	"syscall"

	"holdfast/internal/kind"
	"holdfast/internal/vfs"
	"holdfast/node/drive/blob"
	"holdfast/node/drive/log"
	"holdfast/node/drive/shard"
)

// Fail takes the drive out: everything asked of it from now on is refused. The first reason is
// kept; there is no way back but a new process.
func (d *Drive) Fail(err error) {
	if err == nil || !d.out.CompareAndSwap(nil, &err) {
		return
	}
	d.log.Error("drive is out", "error", err)
}

func (d *Drive) fail(err error) error {
	d.Fail(err)
	return d.answer(err)
}

// Failed is why the drive is out, or nil.
func (d *Drive) Failed() error {
	if err := d.out.Load(); err != nil {
		return *err
	}
	return nil
}

// enter begins an operation; leave ends it. Nothing begins once the drive is out or closed.
func (d *Drive) enter() error {
	d.gate.RLock()
	err := d.admit()
	if err == nil && d.closed {
		err = kind.New(kind.Unavailable, "drive %s is closed", d.ID())
	}
	if err != nil {
		d.gate.RUnlock()
	}
	return err
}

func (d *Drive) leave() { d.gate.RUnlock() }

// admit refuses everything once the drive is out.
func (d *Drive) admit() error {
	if err := d.Failed(); err != nil {
		return kind.Wrap(kind.Unavailable, err, "drive %s is out", d.ID())
	}
	return nil
}

// answer gives an error of the drive's parts its kind, and takes the drive out if it says so.
func (d *Drive) answer(err error) error {
	if err == nil || kind.Of(err) != kind.Unknown {
		return err
	}
	var syncErr *blob.SyncError
	switch {
	case errors.As(err, &syncErr) || broken(err):
		d.Fail(err)
		return kind.Wrap(kind.Unavailable, err, "drive %s is out", d.ID())
	case errors.Is(err, shard.ErrDamaged) || errors.Is(err, log.ErrDamaged):
		return kind.Wrap(kind.Damaged, err, "drive %s", d.ID())
	case vfs.IsFull(err):
		d.space.forget()
		return kind.Wrap(kind.Full, err, "drive %s is full", d.ID())
	}
	return kind.Wrap(kind.Unavailable, err, "drive %s", d.ID())
}

// broken reports whether err says that the device or file system is gone or failing. Errors of
// the process (too many open files, no memory, cancelled) and full file systems are not.
func broken(err error) bool {
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	for _, e := range []syscall.Errno{
		syscall.EIO, syscall.EROFS, syscall.ENXIO, syscall.ENODEV, syscall.ESTALE,
		syscall.EBADF, euclean, syscall.ENOTCONN, syscall.ETIMEDOUT,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// euclean is EUCLEAN, with which ext4, xfs and btrfs report their own damage (117 on Linux).
const euclean = syscall.Errno(117)
