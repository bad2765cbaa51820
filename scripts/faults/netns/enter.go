package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// inside marks the process that Enter started.
const inside = "HOLDFAST_FAULTS_INSIDE"

// Enter starts this program again, with the same arguments and the additions to its environment, in
// namespaces of its own, and waits for its end. In that process, Enter returns true at once.
func Enter(env ...string) (entered bool, err error) {
	if os.Getenv(inside) != "" {
		return true, settle()
	}
	self, err := os.Executable()
	if err != nil {
		return false, fmt.Errorf("netns: find this program: %w", err)
	}
	// The child dies with the thread that made it, and all that it started with it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(append(os.Environ(), inside+"=1"), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL, Setpgid: true,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("netns: namespaces of its own (root has them, users if the kernel lets them): %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case <-signals:
			_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		case err := <-ended:
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return false, ErrFailed // it has said why
			}
			return false, err
		}
	}
}

// ErrFailed says that the process in the namespaces failed, and has said why.
var ErrFailed = errors.New("failed")

// settle makes the namespaces usable: nothing mounted here is seen outside.
func settle() error {
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"", "/", "", syscall.MS_REC | syscall.MS_PRIVATE},
		{"proc", "/proc", "proc", 0},
		{"tmpfs", "/run", "tmpfs", 0}, // namespaces' names and the lock of iptables go there
	} {
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("netns: mount %s: %w", m.target, err)
		}
	}
	return nil
}
