// contract-go uses /dev/mei0 as a static Go program does: raw system calls, no C library, goroutines that the runtime
// moves between threads, its own poller underneath os.File, and SIGURG whenever the scheduler likes.
//
// It prints the Test Anything Protocol and exits 0 when everything is ok, 1 when not.
//
//	-device PATH        the node, /dev/mei0
//	-armed              the device has the fault write:hotham:0xee=reset
//	-goroutines N       how many work at the same time, 40
//	-trips N            round trips of each, 25
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a check waits for what must come.
const patience = 10 * time.Second

var (
	device     string
	armed      bool
	goroutines int
	trips      int
)

type check struct {
	name  string
	armed bool
	run   func() error
}

func main() {
	exchangeOn := flag.Int("exchange-on", -1, "make one round trip on an inherited descriptor and exit")
	flag.StringVar(&device, "device", "/dev/mei0", "the device node")
	flag.BoolVar(&armed, "armed", false, "the device has the fault write:hotham:0xee=reset")
	flag.IntVar(&goroutines, "goroutines", 40, "how many work at the same time")
	flag.IntVar(&trips, "trips", 25, "round trips of each goroutine")
	flag.Parse()
	if *exchangeOn >= 0 {
		file := os.NewFile(uintptr(*exchangeOn), "inherited")
		if _, err := exchange(file, getUUID); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	checks := []check{
		{"the way of rpc-go: Fd, ioctl, write, poll, read", false, asAgentsDo},
		{"errors are the errno values of the driver", false, errnos},
		{"a read through the poller ends at its deadline", false, deadline},
		{"a write goes through while another goroutine reads the same file", false, writeDuringRead},
		{"close ends a read of another goroutine", false, closeDuringRead},
		{"a duplicate is the same connection", false, duplicate},
		{"a program that inherits the descriptor uses it", false, inherit},
		{"goroutines on descriptors of their own, under GC and preemption", false, crowd},
		{"a storm of SIGURG disturbs no system call", false, storm},
		{"a reset ends reads with ENODEV and polls with POLLERR, and is survived", true, reset},
	}
	fmt.Printf("1..%d\n", len(checks))
	failed := false
	for number, check := range checks {
		if check.armed && !armed {
			fmt.Printf("ok %d - %s # SKIP needs -armed\n", number+1, check.name)
			continue
		}
		started := time.Now()
		if err := bounded(check.run); err != nil {
			failed = true
			why := strings.ReplaceAll(err.Error(), "\n", "\n# ")
			fmt.Printf("not ok %d - %s\n# %s\n", number+1, check.name, why)
			continue
		}
		fmt.Printf("ok %d - %s # %d ms\n", number+1, check.name, time.Since(started).Milliseconds())
	}
	if failed {
		os.Exit(1)
	}
}

// bounded runs a check and gives up on one that hangs; it is left behind.
func bounded(run func() error) error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		return err
	case <-time.After(3 * patience):
		return errors.New("still running")
	}
}

func asAgentsDo() error {
	file, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	fd := file.Fd()
	if shown, err := poll(fd, pollIn|pollOut, 0); err != nil || shown != pollErr {
		return fmt.Errorf("poll before the connect: %#x, %v", shown, err)
	}
	longest, err := ioctl(fd, amthi)
	if err != nil || longest < 2285 {
		return fmt.Errorf("connect: longest message %d, %v", longest, err)
	}
	for i := 0; i < 3; i++ {
		if n, err := syscall.Write(int(fd), getUUID); err != nil || n != len(getUUID) {
			return fmt.Errorf("write: %d, %v", n, err)
		}
		if shown, err := poll(fd, pollIn, patience); err != nil || shown != pollIn {
			return fmt.Errorf("poll for the answer: %#x, %v", shown, err)
		}
		answer := make([]byte, longest)
		n, err := syscall.Read(int(fd), answer)
		if err != nil || n != 32 || !bytes.Equal(answer[4:12], []byte{0x5c, 0, 0x80, 4, 20, 0, 0, 0}) {
			return fmt.Errorf("GetUUID's answer: % x, %v", answer[:max(0, n)], err)
		}
	}
	return nil
}

func errnos() error {
	fd, err := open()
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	expect := func(what string, expected error, err error) error {
		if !errors.Is(err, expected) {
			return fmt.Errorf("%s: %v instead of %v", what, err, expected)
		}
		return nil
	}
	_, before := syscall.Write(fd, getUUID)
	_, unknown := ioctl(uintptr(fd), nobody)
	longest, connected := ioctl(uintptr(fd), amthi)
	_, twice := ioctl(uintptr(fd), amthi)
	_, tooLong := syscall.Write(fd, make([]byte, longest+1))
	return errors.Join(
		expect("write before the connect", syscall.ENODEV, before),
		expect("connect to nobody", syscall.ENOTTY, unknown),
		expect("connect", nil, connected),
		expect("connect again", syscall.EBUSY, twice),
		expect("a message too long", syscall.EFBIG, tooLong),
	)
}

func deadline() error {
	file, err := openAMTHI()
	if err != nil {
		return err
	}
	defer file.Close()
	for i := 0; i < 3; i++ {
		if err := file.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			return fmt.Errorf("the runtime's poller does not take the file: %w", err)
		}
		n, err := file.Read(make([]byte, 64))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("read: %d, %v", n, err)
		}
		if err := file.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := exchange(file, getUUID); err != nil {
			return err
		}
	}
	return nil
}

type result struct {
	answer []byte
	err    error
}

// reading starts a read and gives it time to block.
func reading(file *os.File) <-chan result {
	done := make(chan result, 1)
	go func() {
		answer := make([]byte, 16*1024)
		n, err := file.Read(answer)
		done <- result{answer[:max(0, n)], err}
	}()
	time.Sleep(20 * time.Millisecond)
	return done
}

func await(done <-chan result) ([]byte, error) {
	select {
	case result := <-done:
		return result.answer, result.err
	case <-time.After(patience):
		return nil, errors.New("the read does not end")
	}
}

func writeDuringRead() error {
	file, err := openAMTHI()
	if err != nil {
		return err
	}
	defer file.Close()
	for i := 0; i < 5; i++ {
		done := reading(file)
		if _, err := file.Write(getUUID); err != nil {
			return err
		}
		if answer, err := await(done); err != nil || len(answer) < 12 {
			return fmt.Errorf("read: % x, %v", answer, err)
		}
	}
	return nil
}

func closeDuringRead() error {
	file, err := openAMTHI()
	if err != nil {
		return err
	}
	done := reading(file)
	if err := file.Close(); err != nil {
		return err
	}
	if answer, err := await(done); !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("read: % x, %v", answer, err)
	}
	return nil
}

// number is the descriptor of a file, which stays with the runtime's poller.
func number(file *os.File) (int, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return -1, err
	}
	number := -1
	err = raw.Control(func(fd uintptr) { number = int(fd) })
	return number, err
}

func duplicate() error {
	file, err := openAMTHI()
	if err != nil {
		return err
	}
	defer file.Close()
	fd, err := number(file)
	if err != nil {
		return err
	}
	if fd, err = syscall.Dup(fd); err != nil {
		return err
	}
	other := os.NewFile(uintptr(fd), "duplicate")
	defer other.Close()
	if _, err := ioctl(uintptr(fd), amthi); !errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("connect on the duplicate: %v", err)
	}
	if _, err := file.Write(getUUID); err != nil {
		return err
	}
	answer := make([]byte, 64)
	if n, err := other.Read(answer); err != nil || answer[4] != 0x5c {
		return fmt.Errorf("read on the duplicate: % x, %v", answer[:max(0, n)], err)
	}
	file.Close()
	_, err = exchange(other, getUUID)
	return err
}

func inherit() error {
	file, err := openAMTHI()
	if err != nil {
		return err
	}
	defer file.Close()
	fd, err := number(file)
	if err != nil {
		return err
	}
	// At its own number; ExtraFiles would move it.
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_SETFD, 0); errno != 0 {
		return errno
	}
	program := exec.Command("/proc/self/exe", "-exchange-on", strconv.Itoa(fd))
	if output, err := program.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(output))
	}
	_, err = exchange(file, getUUID)
	return err
}

// litter keeps the collector busy until stop is closed.
func litter(stop <-chan struct{}) {
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	var kept [][]byte
	for {
		select {
		case <-stop:
			return
		default:
		}
		kept = append(kept, make([]byte, 32*1024))
		if len(kept) > 64 {
			kept = nil
			runtime.GC()
		}
		runtime.Gosched()
	}
}

func crowd() error {
	stop := make(chan struct{})
	var background sync.WaitGroup
	background.Add(2)
	go func() {
		defer background.Done()
		litter(stop)
	}()
	go func() { // Never calls anything, so that only a signal can make it yield.
		defer background.Done()
		for n := uint64(0); ; n++ {
			if n&0xffffff == 0 {
				select {
				case <-stop:
					return
				default:
				}
			}
		}
	}()
	failures := make(chan error, goroutines)
	for i := 0; i < goroutines; i++ {
		request := getUUID
		if i%2 == 1 {
			request = getProvisioningState
		}
		go func() { failures <- worker(request) }()
	}
	var first error
	failed := 0
	for i := 0; i < goroutines; i++ {
		if err := <-failures; err != nil {
			failed++
			if first == nil {
				first = err
			}
		}
	}
	close(stop)
	background.Wait()
	if first != nil {
		return fmt.Errorf("%d of %d goroutines failed, one with: %w", failed, goroutines, first)
	}
	return nil
}

// worker makes its round trips in a few sittings, because there are fewer connections than goroutines.
func worker(request []byte) error {
	const sitting = 5
	var first []byte
	for done := 0; done < trips; {
		file, err := openAMTHI()
		if err != nil {
			return err
		}
		for end := min(trips, done+sitting); done < end; done++ {
			answer, err := exchange(file, request)
			if err != nil {
				file.Close()
				return err
			}
			if first == nil {
				first = answer
			}
			if !bytes.Equal(answer, first) {
				file.Close()
				return fmt.Errorf("answer % x instead of % x", answer, first)
			}
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return nil
}

func storm() error {
	stop := make(chan struct{})
	var stopped sync.WaitGroup
	stopped.Add(1)
	go func() {
		defer stopped.Done()
		for {
			select {
			case <-stop:
				return
			default:
				syscall.Kill(os.Getpid(), syscall.SIGURG)
				time.Sleep(50 * time.Microsecond)
			}
		}
	}()
	defer stopped.Wait()
	defer close(stop)
	for i := 0; i < 50; i++ {
		file, err := openAMTHI()
		if err != nil {
			return err
		}
		_, err = exchange(file, getUUID)
		file.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func reset() error {
	for round := 0; round < 2; round++ {
		polled, err := openAMTHI()
		if err != nil {
			return err
		}
		read, err := openAMTHI()
		if err != nil {
			return err
		}
		done := reading(read)
		if err := pull(); err != nil {
			return err
		}
		if answer, err := await(done); !errors.Is(err, syscall.ENODEV) {
			return fmt.Errorf("read: % x, %v", answer, err)
		}
		fd, err := number(polled)
		if err != nil {
			return err
		}
		if shown, err := poll(uintptr(fd), pollIn|pollOut, patience); err != nil || shown != pollErr {
			return fmt.Errorf("poll: %#x, %v", shown, err)
		}
		if _, err := polled.Write(getUUID); !errors.Is(err, syscall.ENODEV) {
			return fmt.Errorf("write: %v", err)
		}
		polled.Close()
		read.Close()
		again, err := openAMTHI()
		if err != nil {
			return err
		}
		_, err = exchange(again, getUUID)
		again.Close()
		if err != nil {
			return fmt.Errorf("after the reset: %w", err)
		}
	}
	return nil
}

// pull writes the message that resets the link.
func pull() error {
	file, _, err := connect(hotham)
	if err != nil {
		return err
	}
	defer file.Close()
	message := make([]byte, 16)
	message[1] = 0xee
	if _, err := file.Write(message); !errors.Is(err, syscall.ENODEV) {
		return fmt.Errorf("the write that resets the link: %v", err)
	}
	return nil
}
