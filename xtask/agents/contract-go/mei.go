package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// connectClient is IOCTL_MEI_CONNECT_CLIENT of Linux include/uapi/linux/mei.h.
const connectClient = 0xC0104801

// What poll(2) and its relatives show.
const (
	pollIn  = 0x1
	pollOut = 0x4
	pollErr = 0x8
)

// GUIDs in wire order.
var (
	amthi  = [16]byte{0x28, 0x00, 0xf8, 0x12, 0xb7, 0xb4, 0x2d, 0x4b, 0xac, 0xa8, 0x46, 0xe0, 0xff, 0x65, 0x81, 0x4c}
	hotham = [16]byte{0xa7, 0xe5, 0x2e, 0x08, 0x25, 0x7c, 0x0a, 0x47, 0x96, 0x43, 0x0c, 0x06, 0xf0, 0x46, 0x6e, 0xa1}
	nobody = [16]byte{0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a}
)

// getUUID and getProvisioningState are AMTHI requests without data.
var (
	getUUID              = []byte{1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0}
	getProvisioningState = []byte{1, 1, 0, 0, 0x11, 0, 0, 4, 0, 0, 0, 0}
)

// ioctl connects a raw descriptor and returns the longest message.
func ioctl(fd uintptr, guid [16]byte) (uint32, error) {
	argument := guid
	for {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, connectClient, uintptr(unsafe.Pointer(&argument)))
		switch errno {
		case 0:
			return *(*uint32)(unsafe.Pointer(&argument)), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// open opens the node without a word to the runtime's poller.
func open() (int, error) {
	for {
		fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// connect opens and connects, and gives the descriptor to the runtime's poller only then: to the poller a descriptor
// that is not connected is one with an error, and a real driver never corrects that.
func connect(guid [16]byte) (*os.File, uint32, error) {
	fd, err := open()
	if err != nil {
		return nil, 0, fmt.Errorf("open: %w", err)
	}
	longest, err := ioctl(uintptr(fd), guid)
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		syscall.Close(fd)
		return nil, 0, fmt.Errorf("connect: %w", err)
	}
	return os.NewFile(uintptr(fd), device), longest, nil
}

// openAMTHI tries again while others hold all connections or the link comes back, as agents do.
func openAMTHI() (*os.File, error) {
	deadline := time.Now().Add(patience)
	for {
		file, _, err := connect(amthi)
		again := errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.ENODEV)
		if !again || time.Now().After(deadline) {
			return file, err
		}
		time.Sleep(time.Millisecond)
	}
}

// exchange writes a request and reads its answer.
func exchange(file *os.File, request []byte) ([]byte, error) {
	if n, err := file.Write(request); err != nil || n != len(request) {
		return nil, fmt.Errorf("write: %d, %w", n, err)
	}
	answer := make([]byte, 16*1024)
	n, err := file.Read(answer)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	answer = answer[:n]
	if n < 12 || answer[4] != request[4] {
		return nil, fmt.Errorf("read: % x is no answer to % x", answer, request)
	}
	return answer, nil
}

type pollfd struct {
	fd      int32
	events  int16
	revents int16
}

// poll is poll(2) on one descriptor; a signal does not end it.
func poll(fd uintptr, events int16, timeout time.Duration) (int16, error) {
	watched := pollfd{fd: int32(fd), events: events}
	deadline := time.Now().Add(timeout)
	for {
		left := syscall.NsecToTimespec(max(0, int64(time.Until(deadline))))
		_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&watched)), 1,
			uintptr(unsafe.Pointer(&left)), 0, 0, 0)
		runtime.KeepAlive(&watched)
		switch errno {
		case 0:
			return watched.revents, nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
