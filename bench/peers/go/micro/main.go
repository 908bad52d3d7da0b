// micro BENCH [SIZE...]: the benchmarks of bench/*.c with goroutines, by the same names, with the same sizes in the same order.
// GOMAXPROCS says how many processors. Prints lines "name.pN VALUE UNIT".
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func out(name string, value float64, unit string) {
	fmt.Printf("%s.p%d %.3f %s\n", name, runtime.GOMAXPROCS(0), value, unit)
}

func outEach(name string, since time.Time, n int) {
	out(name, float64(time.Since(since).Nanoseconds())/float64(n), "ns")
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func must(ok bool, what string) {
	if !ok {
		fmt.Fprintln(os.Stderr, "micro: "+what)
		os.Exit(1)
	}
}

// arg is the i-th size, from 0, or a default.
func arg(i, fallback int) int {
	if len(os.Args) < 3+i {
		return fallback
	}
	n, err := strconv.Atoi(os.Args[2+i])
	must(err == nil, "a size is a number")
	return n
}

// status is a field of /proc/self/status in bytes.
func status(key string) float64 {
	f, err := os.Open("/proc/self/status")
	must(err == nil, "no /proc")
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if words := strings.Fields(lines.Text()); words[0] == key+":" {
			kb, _ := strconv.ParseFloat(words[1], 64)
			return kb * 1024
		}
	}
	return 0
}

func cpuSeconds() float64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Sec+r.Stime.Sec) + float64(r.Utime.Usec+r.Stime.Usec)/1e6
}

// hash is splitmix64: the same pseudo-random sizes in every language.
func hash(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// outPoints prints median, 99th percentile and maximum of times, in us.
func outPoints(name string, times []time.Duration) {
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	for _, point := range []struct {
		name string
		at   int
	}{{"p50", 50}, {"p99", 99}, {"max", 100}} {
		at := len(times) * point.at / 100
		if at == len(times) {
			at--
		}
		out(name+"_"+point.name, float64(times[at].Nanoseconds())/1e3, "us")
	}
}

// ---- switching and ending ----------------------------------------------------------------------------------------------------

func yield() {
	tasks := arg(0, 2)
	rounds := arg(1, 20000000/tasks)
	var all sync.WaitGroup
	gate := make(chan bool)
	all.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func() {
			<-gate
			for j := 0; j < rounds; j++ {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	start := time.Now()
	close(gate)
	all.Wait()
	outEach(fmt.Sprintf("yield%d", tasks), start, tasks*rounds)
}

func spawn() {
	count, batch := arg(0, 5000000), arg(1, 1)
	var all sync.WaitGroup
	start := time.Now()
	for done := 0; done < count; done += batch {
		all.Add(batch)
		for i := 0; i < batch; i++ {
			go all.Done()
		}
		all.Wait()
	}
	outEach(fmt.Sprintf("spawn%d", batch), start, count)
}

func fibByChannel(n int, result chan<- int) {
	if n < 2 {
		result <- n
		return
	}
	parts := make(chan int, 2)
	go fibByChannel(n-1, parts)
	go fibByChannel(n-2, parts)
	result <- <-parts + <-parts
}

func fibByGroup(n int, result *int, done *sync.WaitGroup) {
	if *result = n; n >= 2 {
		var both sync.WaitGroup
		var a, b int
		both.Add(2)
		go fibByGroup(n-1, &a, &both)
		go fibByGroup(n-2, &b, &both)
		both.Wait()
		*result = a + b
	}
	done.Done()
}

func fib() {
	n := arg(0, 25)
	for _, turn := range []string{"cold", "warm"} {
		var done sync.WaitGroup
		var result int
		done.Add(1)
		start := time.Now()
		go fibByGroup(n, &result, &done)
		done.Wait()
		out(fmt.Sprintf("fib%d_join.%s", n, turn), ms(time.Since(start)), "ms")
		start = time.Now()
		answer := make(chan int, 1)
		go fibByChannel(n, answer)
		must(<-answer == result, "fib: two results")
		out(fmt.Sprintf("fib%d.%s", n, turn), ms(time.Since(start)), "ms")
	}
}

func say(up chan<- int, first, size int) {
	if size == 1 {
		up <- first
		return
	}
	answers, sum := make(chan int), 0
	for i := 0; i < 10; i++ {
		go say(answers, first+i*(size/10), size/10)
	}
	for i := 0; i < 10; i++ {
		sum += <-answers
	}
	up <- sum
}

func skynet() {
	leaves := arg(0, 1000000)
	for _, turn := range []string{"cold", "warm"} {
		root := make(chan int)
		start := time.Now()
		go say(root, 0, leaves)
		must(<-root == leaves*(leaves-1)/2, "skynet: wrong sum")
		out("skynet."+turn, ms(time.Since(start)), "ms")
		if turn == "cold" {
			out("skynet.peak_rss", status("VmHWM")/1024/1024, "MiB")
		}
	}
}

// ---- channels ----------------------------------------------------------------------------------------------------------------

func chanPingpong() {
	rounds := arg(0, 3000000)
	there, back := make(chan int), make(chan int)
	go func() {
		for v := range there {
			back <- v
		}
	}()
	start := time.Now()
	for i := 0; i < rounds; i++ {
		there <- i
		must(<-back == i, "chan_pingpong: wrong value")
	}
	outEach("pingpong", start, rounds)
}

func chanSpsc() {
	count := arg(0, 20000000)
	c, wanted := make(chan int, arg(1, 128)), 0
	start := time.Now()
	go func() {
		for i := 0; i < count; i++ {
			c <- i
		}
		close(c)
	}()
	for v := range c {
		must(v == wanted, "chan_spsc: out of order")
		wanted++
	}
	must(wanted == count, "chan_spsc: lost")
	outEach("chan_spsc", start, count)
}

func chanMpmc() {
	sides := arg(2, 4)
	share := arg(0, 10000000) / sides
	c, sums, sum := make(chan int, arg(1, 128)), make(chan int), 0
	var producers sync.WaitGroup
	producers.Add(sides)
	start := time.Now()
	for i := 0; i < sides; i++ {
		go func() {
			sum := 0
			for v := range c {
				sum += v
			}
			sums <- sum
		}()
	}
	for i := 0; i < sides; i++ {
		first := i * share
		go func() {
			for v := first; v < first+share; v++ {
				c <- v
			}
			producers.Done()
		}()
	}
	producers.Wait()
	close(c)
	for i := 0; i < sides; i++ {
		sum += <-sums
	}
	total := share * sides
	outEach("chan_mpmc", start, total)
	must(sum == total*(total-1)/2, "chan_mpmc: wrong sum")
}

// A select statement has its cases in the source: four channels, whatever the third size.
func selectOver4() {
	share, capacity, sum := arg(0, 6000000)/4, arg(1, 0), 0
	var c [4]chan int
	for i := range c {
		fed := make(chan int, capacity)
		c[i] = fed
		go func() {
			for v := 1; v <= share; v++ {
				fed <- v
			}
		}()
	}
	start := time.Now()
	for i := 0; i < 4*share; i++ {
		var v int
		select {
		case v = <-c[0]:
		case v = <-c[1]:
		case v = <-c[2]:
		case v = <-c[3]:
		}
		sum += v
	}
	name := "select"
	if capacity > 0 {
		name = "select_buf"
	}
	outEach(name, start, 4*share)
	must(sum == 4*(share*(share+1)/2), "select: wrong sum")
}

func ring() {
	hops, size := arg(0, 5000000), arg(1, 503)
	members, done := make([]chan int, size), make(chan bool)
	for i := range members {
		members[i] = make(chan int)
	}
	for i := range members {
		in, next := members[i], members[(i+1)%size]
		go func() {
			for left := range in {
				if left == 0 {
					close(done)
				} else {
					next <- left - 1
				}
			}
		}()
	}
	start := time.Now()
	members[0] <- hops
	<-done
	outEach("ring", start, hops)
}

// ---- locks -------------------------------------------------------------------------------------------------------------------

func mutex() {
	count, sum := arg(0, 100000000), 0
	var lock sync.Mutex
	start := time.Now()
	for i := 0; i < count; i++ {
		lock.Lock()
		sum++
		lock.Unlock()
	}
	outEach("mutex", start, count)
	must(sum == count, "mutex: lost")
}

func mutexContended() {
	tasks, rounds, sum := arg(0, 8), arg(1, 2000000), 0
	var lock sync.Mutex
	var all sync.WaitGroup
	all.Add(tasks)
	start := time.Now()
	for i := 0; i < tasks; i++ {
		go func() {
			for j := 0; j < rounds; j++ {
				lock.Lock()
				sum++
				lock.Unlock()
			}
			all.Done()
		}()
	}
	all.Wait()
	outEach("mutex_cont", start, tasks*rounds)
	must(sum == tasks*rounds, "mutex_contended: lost")
}

func condPingpong() {
	rounds, turn := arg(0, 3000000), 0
	var lock sync.Mutex
	changed := [2]*sync.Cond{sync.NewCond(&lock), sync.NewCond(&lock)}
	var both sync.WaitGroup
	both.Add(2)
	start := time.Now()
	for side := 0; side < 2; side++ {
		side := side
		go func() {
			lock.Lock()
			for i := 0; i < rounds; i++ {
				for turn != side {
					changed[side].Wait()
				}
				turn = 1 - side
				changed[1-side].Signal()
			}
			lock.Unlock()
			both.Done()
		}()
	}
	both.Wait()
	outEach("cond_pingpong", start, rounds)
}

// ---- waiting -----------------------------------------------------------------------------------------------------------------

//go:noinline
func deep(seed byte) byte {
	var bytes [6000]byte
	for i := range bytes {
		bytes[i] = seed + byte(i)
	}
	return bytes[int(seed)*7] ^ bytes[5999-int(seed)]
}

func parked() {
	count, isDeep := arg(0, 1000000), arg(1, 0) != 0
	name := "parked"
	if isDeep {
		name = "parked_deep"
	}
	var up, used int64
	var all sync.WaitGroup
	gate := make(chan bool)
	runtime.GC()
	before := status("VmRSS")
	all.Add(count)
	start := time.Now()
	for i := 0; i < count; i++ {
		seed := byte(i)
		go func() {
			if isDeep {
				atomic.AddInt64(&used, int64(deep(seed)))
			}
			atomic.AddInt64(&up, 1)
			<-gate
			all.Done()
		}()
	}
	for atomic.LoadInt64(&up) < int64(count) {
		runtime.Gosched()
	}
	out(name+".spawn", ms(time.Since(start)), "ms")
	time.Sleep(200 * time.Millisecond)
	out(name+".rss", (status("VmRSS")-before)/float64(count), "bytes")
	start = time.Now()
	close(gate)
	all.Wait()
	out(name+".wake", ms(time.Since(start)), "ms")
}

func timers() {
	const rounds = 10
	count := arg(0, 10000)
	name := fmt.Sprintf("timers%d", count)
	late := make([]time.Duration, count*rounds)
	for i := range late {
		late[i] = 1 // its page is there
	}
	var all sync.WaitGroup
	var ideal time.Duration
	gate := make(chan bool)
	duration := func(i, r int) time.Duration {
		return time.Duration(1000+hash(uint64(i*rounds+r))%99001) * time.Microsecond
	}
	all.Add(count)
	for i := 0; i < count; i++ {
		var sum time.Duration
		for r := 0; r < rounds; r++ {
			sum += duration(i, r)
		}
		if sum > ideal {
			ideal = sum
		}
		i := i
		go func() {
			<-gate
			for r := 0; r < rounds; r++ {
				start := time.Now()
				time.Sleep(duration(i, r))
				late[i*rounds+r] = time.Since(start) - duration(i, r)
			}
			all.Done()
		}()
	}
	time.Sleep(300 * time.Millisecond)
	cpu, start := cpuSeconds(), time.Now()
	close(gate)
	all.Wait()
	out(name+".wall", ms(time.Since(start)), "ms")
	out(name+".ideal", ms(ideal), "ms")
	out(name+".cpu", cpuSeconds()-cpu, "s")
	outPoints(name+".late", late)
}

func sleep() {
	us, count := arg(0, 50), arg(1, 2000)
	slept := make([]time.Duration, count)
	for i := range slept {
		start := time.Now()
		time.Sleep(time.Duration(us) * time.Microsecond)
		slept[i] = time.Since(start)
	}
	outPoints(fmt.Sprintf("sleep_%dus", us), slept)
}

// work counts what a goroutine did, on a cache line of its own.
type work struct {
	done int64
	line [120]byte
}

func loop(w *work, stop *uint32) {
	for x := uint64(1); atomic.LoadUint32(stop) == 0; w.done++ {
		for i := 0; i < 1000; i++ {
			x = x*6364136223846793005 + 1442695040888963407
		}
		w.line[0] = byte(x) // or the steps are left out
	}
}

func nap(w *work, stop *uint32) {
	for ; atomic.LoadUint32(stop) == 0; w.done++ {
		syscall.Nanosleep(&syscall.Timespec{Nsec: 10000000}, nil)
	}
}

func tick(late []time.Duration) {
	when := time.Now()
	for i := range late {
		when = when.Add(time.Millisecond)
		time.Sleep(time.Until(when))
		late[i] = time.Since(when)
	}
}

// A tick every millisecond for 3 s beside loops, and beside goroutines that sit in read(2) (kind 0) or nanosleep(2) (kind 3).
func hog() {
	const ticks, skipped = 3000, 100
	hogs, blocked, kind := arg(0, 4), arg(1, 0), arg(2, 0)
	must(kind == 0 || kind == 3, "hog: no such kind here")
	var stop uint32
	var fds [2]int
	must(syscall.Pipe(fds[:]) == nil, "no pipe")
	late, all := make([]time.Duration, ticks), make([]work, hogs+blocked)
	done := make(chan bool)
	go func() {
		tick(late)
		close(done)
	}()
	time.Sleep(5 * time.Millisecond)
	start := time.Now()
	for i := 0; i < hogs; i++ {
		go loop(&all[i], &stop)
	}
	for i := hogs; i < hogs+blocked; i++ {
		if kind == 3 {
			go nap(&all[i], &stop)
			continue
		}
		go func() {
			var byte [1]byte
			syscall.Read(fds[0], byte[:])
		}()
	}
	<-done
	seconds := time.Since(start).Seconds()
	atomic.StoreUint32(&stop, 1)
	time.Sleep(50 * time.Millisecond)
	sum, least, most := int64(0), int64(1<<62), int64(1)
	for i := range all {
		sum += all[i].done
		if all[i].done < least {
			least = all[i].done
		}
		if all[i].done > most {
			most = all[i].done
		}
	}
	if least == 0 {
		least = 1
	}
	switch {
	case hogs > 0:
		outPoints("hog", late[skipped:])
		out("hog.work", float64(sum)*1000/1e6/seconds, "Mstep/s")
		out("hog.unfair", float64(most)/float64(least), "ratio")
	case blocked > 0 && kind == 3:
		name := fmt.Sprintf("blockcall%d_nap", blocked)
		outPoints(name, late[skipped:])
		out(name+".calls", float64(sum)/seconds, "1/s")
	case blocked > 0:
		outPoints(fmt.Sprintf("blockcall%d_read", blocked), late[skipped:])
	default:
		outPoints("tick", late[skipped:])
	}
}

var benches = map[string]func(){
	"chan_mpmc": chanMpmc, "chan_pingpong": chanPingpong, "chan_spsc": chanSpsc, "cond_pingpong": condPingpong, "fib": fib,
	"hog": hog, "mutex": mutex, "mutex_contended": mutexContended, "parked": parked, "ring": ring, "select": selectOver4,
	"skynet": skynet, "sleep": sleep, "spawn": spawn, "timers": timers, "yield": yield,
}

func main() {
	if len(os.Args) < 2 || benches[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: micro BENCH [SIZE...]; there is no such benchmark here")
		os.Exit(2)
	}
	benches[os.Args[1]]()
}
