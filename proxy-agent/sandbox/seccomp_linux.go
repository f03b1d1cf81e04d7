package sandbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// deniedCalls are system calls that no build needs and through which kernels
// were attacked: Docker's default denials, and beyond them keyrings, io_uring,
// userfaultfd, perf events and ptrace. They fail with EPERM.
var deniedCalls = []string{
	// keyrings of the agent's session
	"add_key", "keyctl", "request_key",
	// large kernel surfaces
	"bpf", "perf_event_open", "userfaultfd", "lookup_dcookie", "fanotify_init",
	// other processes
	"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
	// mounts and namespaces
	"chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_by_handle_at",
	"open_tree", "pivot_root", "setns", "umount", "umount2", "unshare",
	// memory policies
	"get_mempolicy", "mbind", "migrate_pages", "move_pages", "set_mempolicy",
	// the machine
	"_sysctl", "acct", "clock_adjtime", "clock_settime", "create_module", "delete_module", "finit_module",
	"get_kernel_syms", "init_module", "ioperm", "iopl", "kexec_file_load", "kexec_load", "nfsservctl", "query_module",
	"quotactl", "quotactl_fd", "reboot", "setdomainname", "sethostname", "settimeofday", "stime", "swapoff", "swapon",
	"syslog", "sysfs", "uselib", "ustat", "vhangup", "vm86", "vm86old",
}

// absentCalls fail with ENOSYS, as on an older kernel, because programs then
// fall back to other calls. The flags of clone3 cannot be filtered; those of clone are.
var absentCalls = []string{"clone3", "io_uring_setup", "io_uring_enter", "io_uring_register"}

// cloneNamespaces are the flags of clone that make namespaces.
const cloneNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// personalities that programs may take, as Docker allows them: Linux, Linux with
// short inode numbers, those two with 32-bit uname, and the query.
var personalities = []uint64{0, 0x8, 0x20000, 0x20008, 0xffffffff}

// Terminal requests that type into a terminal of another session.
const (
	tiocsti   = 0x5412
	tioclinux = 0x541c
)

const denyENOSYS = seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)

// seccompFilter returns the filter that bwrap installs before the command
// starts, as the kernel reads it.
func seccompFilter() ([]byte, error) {
	native, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("make the system call filter: %w", err)
	}
	policy := seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{
			{Action: denyENOSYS, Names: known(native, absentCalls)},
			{Action: seccomp.ActionErrno, Names: known(native, deniedCalls), NamesWithCondtions: deniedArguments(native)},
		},
	}
	program, err := policy.Assemble()
	if err != nil {
		return nil, fmt.Errorf("make the system call filter: %w", err)
	}
	raw, err := bpf.Assemble(append(foreignCalls(native), program...))
	if err != nil {
		return nil, fmt.Errorf("make the system call filter: %w", err)
	}
	var out bytes.Buffer
	if err := binary.Write(&out, binary.NativeEndian, rawFilter(raw)); err != nil {
		return nil, fmt.Errorf("make the system call filter: %w", err)
	}
	return out.Bytes(), nil
}

// known returns the calls that the architecture has.
func known(on *arch.Info, names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { _, ok := on.SyscallNames[name]; return !ok })
}

// deniedArguments are calls that are denied with some arguments only.
func deniedArguments(on *arch.Info) []seccomp.NameWithConditions {
	only := func(name string, conditions ...seccomp.Condition) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: name, Conditions: conditions}
	}
	var other []seccomp.Condition
	for _, p := range personalities {
		other = append(other, seccomp.Condition{Operation: seccomp.NotEqual, Value: p})
	}
	all := []seccomp.NameWithConditions{
		only("socket", seccomp.Condition{Operation: seccomp.Equal, Value: unix.AF_VSOCK}),
		only("socketpair", seccomp.Condition{Operation: seccomp.Equal, Value: unix.AF_VSOCK}),
		only("clone", seccomp.Condition{Operation: seccomp.BitsSet, Value: cloneNamespaces}),
		only("ioctl", seccomp.Condition{Argument: 1, Operation: seccomp.Equal, Value: tiocsti}),
		only("ioctl", seccomp.Condition{Argument: 1, Operation: seccomp.Equal, Value: tioclinux}),
		only("personality", other...),
	}
	return slices.DeleteFunc(all, func(c seccomp.NameWithConditions) bool { _, ok := on.SyscallNames[c.Name]; return !ok })
}

// foreignCalls is the part of the filter for the system calls of other
// architectures, which the library would let pass. On x86-64 that is the 32-bit
// interface, which older toolchains use: it has the same denials, except that it
// makes sockets only by the call that can be filtered. Elsewhere there is none.
func foreignCalls(native *arch.Info) []bpf.Instruction {
	deny := func(errno unix.Errno) bpf.Instruction {
		return bpf.RetConstant{Val: uint32(seccomp.ActionErrno) | uint32(errno)}
	}
	var calls []bpf.Instruction
	if native.ID == arch.X86_64.ID {
		calls = append(calls, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(arch.I386.ID), SkipTrue: 1}, deny(unix.ENOSYS),
			bpf.LoadAbsolute{Off: 0, Size: 4})
		each := func(names []string, errno unix.Errno) {
			for _, name := range known(arch.I386, names) {
				calls = append(calls, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(arch.I386.SyscallNames[name]), SkipFalse: 1}, deny(errno))
			}
		}
		each(absentCalls, unix.ENOSYS)
		each(append([]string{"socketcall", "personality"}, deniedCalls...), unix.EPERM)
		// A call whose first argument decides: allow unless it matches.
		decide := func(name string, match bpf.JumpIf) {
			calls = append(calls,
				bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(arch.I386.SyscallNames[name]), SkipFalse: 4},
				bpf.LoadAbsolute{Off: 16, Size: 4}, // the argument
				match, deny(unix.EPERM), bpf.RetConstant{Val: uint32(seccomp.ActionAllow)})
		}
		decide("socket", bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_VSOCK, SkipFalse: 1})
		decide("socketpair", bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_VSOCK, SkipFalse: 1})
		decide("clone", bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: cloneNamespaces, SkipFalse: 1})
		calls = append(calls, bpf.RetConstant{Val: uint32(seccomp.ActionAllow)})
	} else {
		calls = append(calls, deny(unix.ENOSYS))
	}
	return append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 4}, // the architecture
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(native.ID), SkipFalse: 1},
		bpf.Jump{Skip: uint32(len(calls))},
	}, calls...)
}

// filterStep is struct sock_filter of the kernel.
type filterStep struct {
	Op     uint16
	Jt, Jf uint8
	K      uint32
}

func rawFilter(raw []bpf.RawInstruction) []filterStep {
	steps := make([]filterStep, len(raw))
	for i, r := range raw {
		steps[i] = filterStep{r.Op, r.Jt, r.Jf, r.K}
	}
	return steps
}
