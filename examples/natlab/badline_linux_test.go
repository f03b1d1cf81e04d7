package natlab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The effect of the bad line on each packet, in each direction.
const (
	lineDelay   = 25 * time.Millisecond
	lineLoss    = 0.01
	lineReorder = 0.02 // the share of packets that are delayed until others overtake them
	reorderBy   = 10 * time.Millisecond
)

// badLine puts a TUN pair between two namespaces: eth0 in one, lan in the other,
// and a process that delays, drops and reorders the packets between them.
func (w *world) badLine(ns, nat string) {
	w.t.Helper()
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		w.t.Skipf("this machine does not allow TUN devices: %v", err)
	}
	_ = tun.Close()
	w.start(ns, "ready", os.Args[0], "badline", "/run/netns/"+nat)
}

// badLine is the process between the two devices. It starts in one namespace and
// enters the other.
func badLine(args []string) error {
	runtime.LockOSThread()
	here, err := openTUN("eth0")
	if err != nil {
		return err
	}
	there, err := os.Open(args[0])
	if err != nil {
		return err
	}
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", args[0], err)
	}
	far, err := openTUN("lan")
	if err != nil {
		return err
	}
	fmt.Println("ready")
	var both sync.WaitGroup
	both.Go(func() { pass(here, far) })
	both.Go(func() { pass(far, here) })
	both.Wait()
	return errors.New("the devices are gone")
}

// openTUN creates the named device in the thread's namespace.
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(request))); errno != 0 {
		return nil, fmt.Errorf("make %s: %w", name, errno)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// pass forwards packets in one direction.
func pass(from, to *os.File) {
	packet := make([]byte, 65536)
	for {
		n, err := from.Read(packet)
		if errors.Is(err, unix.EIO) { // the device is not up yet
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			return
		}
		if rand.Float64() < lineLoss {
			continue
		}
		delay := lineDelay
		if rand.Float64() < lineReorder {
			delay += reorderBy
		}
		copied := append([]byte(nil), packet[:n]...)
		time.AfterFunc(delay, func() { _, _ = to.Write(copied) })
	}
}
