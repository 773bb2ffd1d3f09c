// The benchmarks in Go: a goroutine for each child, but for the last one of fib and matmul; results through channels, or joins by
// WaitGroup. Go has no thread-locals, and no call for what may block: any goroutine may.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

const (
	fibNumber = 25
	queens    = 11
	matrix    = 512
	million   = 1_000_000
	rounds    = 200_000
)

func fib(n int) int64 {
	if n < 2 {
		return int64(n)
	}
	a := make(chan int64, 1)
	go func() { a <- fib(n - 1) }()
	b := fib(n - 2)
	return <-a + b
}

func fibValue(n int) int64 {
	a, b := int64(0), int64(1)
	for ; n > 0; n-- {
		a, b = b, a+b
	}
	return a
}

func skynet(sum chan<- int64, number, size int64) {
	if size == 1 {
		sum <- number
		return
	}
	children := make(chan int64, 10)
	for i := int64(0); i < 10; i++ {
		go skynet(children, number+i*size/10, size/10)
	}
	var all int64
	for i := 0; i < 10; i++ {
		all += <-children
	}
	sum <- all
}

type board [queens]int8

func (b *board) isSafe(column, row int) bool {
	for before := 0; before < column; before++ {
		distance, other := column-before, int(b[before])
		if other == row || other == row-distance || other == row+distance {
			return false
		}
	}
	return true
}

func nqueens(column int, b board) int64 {
	if column == queens {
		return 1
	}
	var solutions [queens]int64
	var children sync.WaitGroup
	for row := 0; row < queens; row++ {
		if !b.isSafe(column, row) {
			continue
		}
		b[column] = int8(row)
		children.Add(1)
		go func(row int, b board) {
			solutions[row] = nqueens(column+1, b)
			children.Done()
		}(row, b)
	}
	children.Wait()
	var sum int64
	for _, part := range solutions {
		sum += part
	}
	return sum
}

func matmul(p product) {
	if p.size <= leafSize {
		p.multiply()
		return
	}
	for inner := 0; inner < 2; inner++ {
		var children sync.WaitGroup
		parts := p.quarters(inner)
		children.Add(3)
		for _, part := range parts[:3] {
			go func(part product) {
				matmul(part)
				children.Done()
			}(part)
		}
		matmul(parts[3])
		children.Wait()
	}
}

func forkAndJoin(children int64) int64 {
	var all sync.WaitGroup
	for i := int64(0); i < children; i++ {
		all.Add(1)
		go all.Done()
	}
	all.Wait()
	return children
}

func yields(rounds int64) int64 {
	var count int64
	for ; count < rounds; count++ {
		runtime.Gosched()
	}
	return count
}

func play(mine <-chan struct{}, other chan<- struct{}, count *int64, done *sync.WaitGroup) {
	for ; *count < rounds; *count++ {
		<-mine
		other <- struct{}{}
	}
	done.Done()
}

func pingPong() int64 {
	ping, pong := make(chan struct{}, 1), make(chan struct{}, 1)
	var a, b int64
	var done sync.WaitGroup
	done.Add(2)
	ping <- struct{}{}
	go play(ping, pong, &a, &done)
	go play(pong, ping, &b, &done)
	done.Wait()
	return a + b
}

// A channel of one place is what Go has for a future.
func submitAndGet(tasks, times int64) int64 {
	var sum int64
	futures := make([]chan int64, tasks)
	for ; times > 0; times-- {
		for i := range futures {
			future, value := make(chan int64, 1), int64(i)
			futures[i] = future
			go func() { future <- value }()
		}
		for _, future := range futures {
			sum += <-future
		}
	}
	return sum
}

func startAndJoin(threads, times int64) int64 {
	var joined int64
	for ; times > 0; times-- {
		joined += forkAndJoin(threads)
	}
	return joined
}

func sleeps(count int64) int64 {
	var all sync.WaitGroup
	for i := int64(0); i < count; i++ {
		all.Add(1)
		go func() {
			time.Sleep(10 * time.Millisecond)
			all.Done()
		}()
	}
	all.Wait()
	return count
}

// A channel that is closed is what Go has for an event.
func measureParked(h harness) {
	m := measurement{"ParkedTask", million, million, million}
	if !h.wants(m.name) {
		return
	}
	event := make(chan struct{})
	var arrived, woken sync.WaitGroup
	arrived.Add(million)
	woken.Add(million)
	bytesBefore := residentBytes()
	begin := time.Now()
	for i := 0; i < million; i++ {
		go func() {
			arrived.Done()
			<-event
			woken.Done()
		}()
	}
	arrived.Wait()
	nanos := time.Since(begin).Nanoseconds()
	bytes := residentBytes() - bytesBefore
	close(event)
	woken.Wait()
	h.print(m, nanos, fmt.Sprintf(`,"bytes_per_thread":%.1f`, float64(bytes)/million))
}

func main() {
	h := newHarness()
	runtime.GOMAXPROCS(h.threads)
	// Alone, before anything else has used memory.
	measureParked(h)
	h.measure(measurement{"FibAll", fibNumber, 2*fibValue(fibNumber+1) - 1, fibValue(fibNumber)},
		func() int64 { return fib(fibNumber) })
	h.measure(measurement{"Skynet", million, 1_111_111, 499_999_500_000}, func() int64 {
		sum := make(chan int64, 1)
		go skynet(sum, 0, million)
		return <-sum
	})
	h.measure(measurement{"Nqueens", queens, 166_926, 2_680}, func() int64 { return nqueens(0, board{}) })
	if h.wants("Matmul") {
		p := newProduct(matrix)
		clear := func() {
			for i := range p.c {
				p.c[i] = 0
			}
		}
		h.measureBetween(measurement{"Matmul", matrix, p.leaves(), rightChecksum(matrix)}, clear,
			func() { matmul(p) }, p.checksum)
	}
	h.measure(measurement{"ForkJoinMillion", million, million, million}, func() int64 { return forkAndJoin(million) })
	h.measure(measurement{"Yield", million, million, million}, func() int64 { return yields(million) })
	h.measure(measurement{"PingPong", rounds, 2 * rounds, 2 * rounds}, pingPong)
	// A channel of one place is a permit, too.
	h.measure(measurement{"ParkUnpark", rounds, 2 * rounds, 2 * rounds}, pingPong)
	measureChannels(h)
	measureLocks(h)
	h.measure(measurement{"StartJoin10", 10, million, million}, func() int64 { return startAndJoin(10, 100_000) })
	h.measure(measurement{"StartJoin1000", 1000, million, million}, func() int64 { return startAndJoin(1000, 1000) })
	h.measure(measurement{"SubmitGet", 1000, 200_000, 200 * 499_500}, func() int64 { return submitAndGet(1000, 200) })
	h.measure(measurement{"SleepVirtual", 10_000, 10_000, 10_000}, func() int64 { return sleeps(10_000) })
}
