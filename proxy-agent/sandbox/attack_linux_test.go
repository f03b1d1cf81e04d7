package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attacks are what hostile builds do. Each runs in a sandbox, as a copy of this
// test's own program, and prints what it achieved.
var attacks = map[string]func(){
	"memfd":     hoardFile,
	"processes": hoardProcesses,
	"segments":  hoardSegments,
	"cores":     takeCores,
	"unlinked":  hideFile,
	"calls":     tryCalls,
	"memory":    func() { hoard(40 << 20); time.Sleep(time.Minute) },
}

func attack(name string) {
	attacks[name]()
	os.Exit(0)
}

// attacked runs an attack in a sandbox.
func attacked(t *testing.T, sb Sandbox, name string, change ...func(*Spec)) (ran, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(self)
	return tryScript(t.Context(), t, sb, "exec "+self, append([]func(*Spec){func(s *Spec) {
		s.ReadOnly = []string{dir}
		s.Env = map[string]string{"FARFORGE_ATTACK": name}
	}}, change...)...)
}

// hoard touches so much memory.
func hoard(size int) {
	for at, data := 0, make([]byte, size); at < size; at += 4096 {
		data[at] = 1
	}
}

func hoardFile() {
	fd, err := unix.MemfdCreate("hoard", 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	for chunk := make([]byte, 1<<20); ; {
		if _, err := unix.Write(fd, chunk); err != nil {
			fmt.Println(err)
			return
		}
		var stat unix.Stat_t
		if unix.Fstat(fd, &stat); stat.Size >= 512<<20 {
			fmt.Println("took it all")
			return
		}
	}
}

func hoardProcesses() {
	var all []*exec.Cmd
	for range 20 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{"FARFORGE_ATTACK=memory"}
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
			return
		}
		all = append(all, cmd)
	}
	time.Sleep(10 * time.Second)
	alive := 0
	for _, cmd := range all {
		var status syscall.WaitStatus
		if pid, _ := syscall.Wait4(cmd.Process.Pid, &status, syscall.WNOHANG, nil); pid == 0 {
			alive++
		}
	}
	if alive == len(all) {
		fmt.Println("took it all")
	}
}

func hoardSegments() {
	for range 64 {
		id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 8<<20, unix.IPC_CREAT|0o600)
		if err != nil {
			fmt.Println(err)
			return
		}
		data, err := unix.SysvShmAttach(id, 0, 0)
		if err != nil {
			fmt.Println(err)
			return
		}
		for at := 0; at < len(data); at += 4096 {
			data[at] = 1
		}
	}
	fmt.Println("took it all")
}

// takeCores asks for all processors and prints how many it has.
func takeCores() {
	var set unix.CPUSet
	for cpu := range 64 {
		set.Set(cpu)
	}
	err := unix.SchedSetaffinity(0, &set)
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		fmt.Println(err)
	}
	fmt.Println(set.Count(), err)
}

// hideFile fills a file that has no name.
func hideFile() {
	f, err := os.Create("hidden")
	if err == nil {
		err = os.Remove("hidden")
	}
	for chunk := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(chunk)
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Println(err)
}

// tryCalls prints how the kernel answers calls that no build needs.
func tryCalls() {
	zero := func(name string, number uintptr, args ...uintptr) {
		args = append(args, 0, 0, 0, 0, 0, 0)
		_, _, errno := unix.RawSyscall6(number, args[0], args[1], args[2], args[3], args[4], args[5])
		fmt.Printf("%s=%d\n", name, errno)
	}
	text := []byte("user\x00farforge\x00")
	user, name := uintptr(unsafe.Pointer(&text[0])), uintptr(unsafe.Pointer(&text[5]))
	var params [30]uint64
	zero("add_key", unix.SYS_ADD_KEY, user, name, name, 4, ^uintptr(2))
	zero("request_key", unix.SYS_REQUEST_KEY, user, name)
	zero("keyctl", unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, ^uintptr(2))
	zero("bpf", unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&params)), 120)
	zero("io_uring_setup", unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)))
	zero("userfaultfd", unix.SYS_USERFAULTFD, 1)
	zero("perf_event_open", unix.SYS_PERF_EVENT_OPEN, uintptr(unsafe.Pointer(&params)), 0, ^uintptr(0), ^uintptr(0))
	zero("ptrace", unix.SYS_PTRACE, unix.PTRACE_TRACEME)
	zero("process_vm_readv", unix.SYS_PROCESS_VM_READV, uintptr(os.Getpid()))
	zero("vsock", unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM)
	zero("unshare", unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	zero("clone", unix.SYS_CLONE, unix.CLONE_NEWUSER|unix.CLONE_NEWNS)
	zero("clone3", unix.SYS_CLONE3)
	zero("mount", unix.SYS_MOUNT)
	zero("fsopen", unix.SYS_FSOPEN, name)
	zero("open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT)
	zero("personality", unix.SYS_PERSONALITY, 0x0040000)
	zero("mbind", unix.SYS_MBIND)
	zero("tiocsti", unix.SYS_IOCTL, 0, tiocsti, name)
	zero("socket", unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM)
}

// hard returns a sandbox whose limits control groups enforce. If this user may make
// no groups, it checks that Soft says why, and skips the test.
func hard(t *testing.T) *Bubblewrap {
	t.Helper()
	b := bubblewrap(t)
	if b.Soft() != nil {
		if b.groups != nil || b.Soft().Error() == "" {
			t.Errorf("soft limits without a reason: %v", b.Soft())
		}
		t.Skipf("limits are soft here: %v", b.Soft())
	}
	return b
}

func TestMemoryHoardersEnd(t *testing.T) {
	b := hard(t)
	limit := func(s *Spec) { s.Limits = Limits{MemoryBytes: 128 << 20, Processes: 1000} }
	for _, name := range []string{"memfd", "processes", "segments"} {
		r, err := attacked(t, b, name, limit)
		if err != nil || !r.OutOfMemory || strings.Contains(r.stdout, "took it all") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	r := script(t, b, "head -c 300000000 /dev/zero >/tmp/a; head -c 300000000 /dev/zero > /dev/shm/b; echo took it all", limit)
	if strings.Contains(r.stdout, "took it all") && !r.OutOfMemory && !strings.Contains(r.stderr, "No space left") {
		t.Errorf("tmpfs: %+v", r)
	}
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/" + groupPrefix + fmt.Sprint(os.Getpid()) + "-*"); len(left) > 0 {
		t.Errorf("groups are left: %q", left)
	}
}

func TestForkBombIsBounded(t *testing.T) {
	b := hard(t)
	r := script(t, b, "i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done; echo all", func(s *Spec) { s.Limits.Processes = 20 })
	if strings.Contains(r.stdout, "all") {
		t.Errorf("100 processes ran: %+v", r)
	}
}

// TestAddressSpaceIsFree reserves far more memory than it uses, as Java, V8 and
// sanitizers do.
func TestAddressSpaceIsFree(t *testing.T) {
	r := script(t, hard(t), "ulimit -v", func(s *Spec) { s.Limits.MemoryBytes = 64 << 20 })
	if r.stdout != "unlimited\n" {
		t.Errorf("the address space is limited to %s", r.stdout)
	}
}

func TestBuildSeesItsProcessorsOnly(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("this machine has one processor")
	}
	both(t, func(t *testing.T, sb Sandbox) {
		r := script(t, sb, "nproc; grep -c ^processor /proc/cpuinfo >/dev/null", func(s *Spec) { s.Limits.Cores = 1 })
		if r.stdout != "1\n" {
			t.Errorf("nproc says %q", r.stdout)
		}
	})
	r, err := attacked(t, hard(t), "cores", func(s *Spec) { s.Limits.Cores = 1 })
	if err != nil || !strings.HasPrefix(r.stdout, "1 ") {
		t.Errorf("it took %+v, %v", r, err)
	}
}

// TestCoresAreShared gives each of two jobs a processor of its own.
func TestCoresAreShared(t *testing.T) {
	c := &cores{jobs: map[int]int{0: 0, 1: 0, 2: 0}}
	first, release := c.take(1)
	second, _ := c.take(2)
	if len(first) != 1 || len(second) != 2 || first[0] == second[0] || first[0] == second[1] {
		t.Errorf("got %v and %v", first, second)
	}
	release()
	if third, _ := c.take(1); third[0] != first[0] {
		t.Errorf("the free one is %v, got %v", first, third)
	}
	if all, _ := c.take(3); all != nil {
		t.Errorf("all processors are no restriction, got %v", all)
	}
}

func TestKernelKillsBuildsBeforeTheAgent(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		if r := script(t, sb, "cat /proc/self/oom_score_adj"); r.stdout != "1000\n" {
			t.Errorf("oom_score_adj is %q", r.stdout)
		}
	})
	r := script(t, bubblewrap(t), "echo 0 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj")
	if mayPinOOMScore(t) && r.stdout != "1000\n" {
		t.Errorf("the build made it %q", r.stdout)
	}
}

// mayPinOOMScore reports whether this process has CAP_SYS_RESOURCE.
func mayPinOOMScore(t *testing.T) bool {
	t.Helper()
	var header = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	return data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

func TestDiskHoardersEnd(t *testing.T) {
	limit := func(s *Spec) {
		s.Limits.DiskBytes, s.Limits.DiskFiles = 30<<20, 3000
		s.Cache = s.Dir + "-cache"
		os.Mkdir(s.Cache, 0o700)
	}
	expect := func(t *testing.T, err error, says string) {
		t.Helper()
		var full *DiskFull
		if !errors.As(err, &full) || !strings.Contains(full.Reason, says) {
			t.Errorf("got %v, want an error that says %q", err, says)
		}
	}
	both(t, func(t *testing.T, sb Sandbox) {
		for text, says := range map[string]string{
			"while :; do head -c 1000000 /dev/zero >> big; done":                                              "30 MiB",
			"cd ..; while :; do head -c 1000000 /dev/zero >> " + sb.CachePath("$OLDPWD-cache") + "/big; done": "30 MiB",
			"seq 9000 | xargs touch; sleep 100":                                                               "3000 files",
			"i=0; while :; do mkdir d; cd d || sleep 100; : > f; done":                                        "nested",
		} {
			began := time.Now()
			_, err := tryScript(t.Context(), t, sb, text, limit)
			expect(t, err, says)
			t.Logf("%q ended after %v", text, time.Since(began))
		}
	})
	_, err := attacked(t, bubblewrap(t), "unlinked", limit)
	expect(t, err, "30 MiB")
	if os.Getuid() != 0 { // root sees into every folder
		dir := t.TempDir()
		defer os.Chmod(dir+"/d", 0o700) // or it could not be removed
		_, err = tryScript(t.Context(), t, bubblewrap(t), "mkdir d; head -c 1000000 /dev/zero > d/big; chmod 0 d; sleep 100",
			func(s *Spec) { s.Dir = dir }, limit)
		expect(t, err, "locked")
	}
	// A build below the limits is left alone.
	if r := script(t, bubblewrap(t), "head -c 20000000 /dev/zero > big; sleep 1; exit 3", limit); r.ExitCode != 3 {
		t.Errorf("a small build ended with %+v", r)
	}
}

func TestSystemCallsAreDenied(t *testing.T) {
	r, err := attacked(t, bubblewrap(t), "calls")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(r.stdout) {
		name, errno, _ := strings.Cut(strings.TrimSpace(line), "=")
		want := fmt.Sprint(int(unix.EPERM))
		switch name {
		case "socket":
			want = "0"
		case "io_uring_setup", "clone3":
			want = fmt.Sprint(int(unix.ENOSYS))
		}
		if errno != want {
			t.Errorf("%s: errno %s, want %s", name, errno, want)
		}
	}
	if strings.Count(r.stdout, "\n") != 20 {
		t.Errorf("it tried\n%s", r.stdout)
	}
}

// TestOldInterfaceIsFiltered uses the 32-bit system calls of x86-64, which a
// filter for one architecture does not see.
func TestOldInterfaceIsFiltered(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil || runtime.GOARCH != "amd64" {
		t.Skip("this test needs gcc on x86-64")
	}
	const program = `#include <stdio.h>
static long call(long n, long a, long b, long c) {
	long r;
	__asm__ volatile ("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
	return (int)r;
}
int main(void) {
	printf("getpid %d\n", call(20, 0, 0, 0) > 0);
	printf("keyctl %ld\n", call(288, 0, -3, 0));
	printf("ptrace %ld\n", call(26, 0, 0, 0));
	printf("socketcall %ld\n", call(102, 1, 0, 0));
	printf("vsock %ld\n", call(359, 40, 1, 0));
	printf("unix %d\n", call(359, 1, 1, 0) > 0);
	printf("clone %ld\n", call(120, 0x10000000, 0, 0));
	printf("io_uring %ld\n", call(425, 1, 0, 0));
}`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.c"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	r := script(t, bubblewrap(t), "gcc -w -o a a.c && ./a", func(s *Spec) { s.Dir = dir })
	want := "getpid 1\nkeyctl -1\nptrace -1\nsocketcall -1\nvsock -1\nunix 1\nclone -1\nio_uring -38\n"
	if r.stdout != want {
		t.Errorf("got\n%swant\n%s%s", r.stdout, want, r.stderr)
	}
}

// TestSessionKeyringIsEmpty puts a secret into the keyring of a thread and looks
// for it after emptyKeyring.
func TestSessionKeyringIsEmpty(t *testing.T) {
	found := make(chan error, 2)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := emptyKeyring(); err != nil {
			found <- err
			return
		}
		if _, err := unix.AddKey("user", "farforge-secret", []byte("secret"), unix.KEY_SPEC_SESSION_KEYRING); err != nil {
			found <- err
			return
		}
		search := func() error {
			_, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", "farforge-secret", 0)
			return err
		}
		found <- search()
		if err := emptyKeyring(); err != nil {
			found <- err
			return
		}
		found <- search()
	}()
	if err := <-found; err != nil {
		t.Skipf("this kernel has no keyrings for us: %v", err)
	}
	if err := <-found; !errors.Is(err, unix.ENOKEY) {
		t.Errorf("the secret is still there: %v", err)
	}
}

func TestMadeUpUsersAndHosts(t *testing.T) {
	r := script(t, bubblewrap(t), "whoami; id -gn; getent hosts localhost | awk '{print $2}'; getent passwd | wc -l; (exec 3<>/dev/tcp/localhost/1) 2>&1 | grep -c 'Name or service'")
	if r.stdout != "build\nbuild\nlocalhost\n3\n0\n" {
		t.Errorf("got %q, %q", r.stdout, r.stderr)
	}
}

// TestToolchainsStillWork runs compilers and interpreters, with a gigabyte of memory
// if control groups enforce it.
func TestToolchainsStillWork(t *testing.T) {
	b := bubblewrap(t)
	for _, c := range []struct{ needs, text, want string }{
		{"gcc", `printf 'int main(){return 7;}' > a.c && gcc -O2 -o a a.c; ./a; echo $?`, "7\n"},
		{"g++", `printf '#include <thread>\nint main(){std::thread t([]{}); t.join(); return 7;}' > a.cc && g++ -pthread -o a a.cc; ./a; echo $?`, "7\n"},
		{"gcc", `printf '#include <stdlib.h>\nint main(){free(malloc(3));return 7;}' > a.c && gcc -fsanitize=address -o a a.c; ./a; echo $?`, "7\n"},
		{"java", `printf 'class A{public static void main(String[] a) throws Exception{Thread t=new Thread(()->System.out.println(7));t.start();t.join();}}' > A.java && java -version 2>/dev/null && java -XX:+UseG1GC A.java`, "7\n"},
		{"node", `node -e 'const {Worker}=require("worker_threads");new Worker("console.log(7)",{eval:true});new WebAssembly.Memory({initial:1,maximum:65536})'`, "7\n"},
		{"/usr/bin/python3", `/usr/bin/python3 -c 'import multiprocessing as m, os
print(m.Pool(2).map(abs,[-7])[0])'`, "7\n"},
		{"make", `printf 'all: a b\na b:\n\t@echo 7\n' > Makefile; make -j4 -s`, "7\n7\n"},
	} {
		path, err := exec.LookPath(c.needs)
		if err != nil || !strings.HasPrefix(path, "/usr/") && !strings.HasPrefix(path, "/bin/") {
			t.Logf("%s is not installed where the sandbox shows it", c.needs)
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		r, err := tryScript(ctx, t, b, c.text, func(s *Spec) {
			s.Limits.Processes = 4096
			if b.groups != nil {
				s.Limits.MemoryBytes = 1 << 30
			}
		})
		cancel()
		if err != nil || r.stdout != c.want {
			t.Errorf("%s: %q, %q, %v", c.needs, r.stdout, r.stderr, err)
		}
	}
}
