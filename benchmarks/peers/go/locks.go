package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// As ../../lock_benchmark.cc: 1, 100 and 10,000 contenders, which find the lock held until all have begun. Go's mutexes
// are not fair at once: a goroutine that runs may overtake those that wait, until one has waited for a millisecond.

const (
	visitsOfAll     = 400_000
	visitsForAWrite = 10
	permits         = 4
)

// Starts contender(0), contender(1), ..., releases what is held when all of them have begun, and waits for their end.
func contend(contenders int64, release func(), contender func(number int64)) {
	var begun, ended sync.WaitGroup
	begun.Add(int(contenders))
	ended.Add(int(contenders))
	for i := int64(0); i < contenders; i++ {
		go func(number int64) {
			begun.Done()
			contender(number)
			ended.Done()
		}(i)
	}
	begun.Wait()
	// The last of them is about to wait.
	runtime.Gosched()
	release()
	ended.Wait()
}

func useMutex(contenders int64) int64 {
	var mutex sync.Mutex
	var sum int64
	mutex.Lock()
	contend(contenders, mutex.Unlock, func(int64) {
		for i := int64(0); i < visitsOfAll/contenders; i++ {
			mutex.Lock()
			sum++
			mutex.Unlock()
		}
	})
	return sum
}

func useSharedMutex(contenders int64) int64 {
	var mutex sync.RWMutex
	var one, other int64
	good := make([]int64, contenders)
	mutex.Lock()
	contend(contenders, mutex.Unlock, func(number int64) {
		var same int64
		for i := number; i < number+visitsOfAll/contenders; i++ {
			if i%visitsForAWrite == 0 {
				mutex.Lock()
				one++
				other++
				mutex.Unlock()
			} else {
				mutex.RLock()
				if one == other {
					same++
				}
				mutex.RUnlock()
			}
		}
		good[number] = same
	})
	return one + sum(good)
}

// A channel of four places is what Go has for a semaphore of four permits.
func useSemaphore(contenders int64) int64 {
	semaphore := make(chan struct{}, permits)
	var inside int64
	good := make([]int64, contenders)
	for i := 0; i < permits; i++ {
		semaphore <- struct{}{}
	}
	release := func() {
		for i := 0; i < permits; i++ {
			<-semaphore
		}
	}
	contend(contenders, release, func(number int64) {
		var room int64
		for i := int64(0); i < visitsOfAll/contenders; i++ {
			semaphore <- struct{}{}
			if atomic.AddInt64(&inside, 1) <= permits {
				room++
			}
			atomic.AddInt64(&inside, -1)
			<-semaphore
		}
		good[number] = room
	})
	return sum(good)
}

func sum(parts []int64) int64 {
	var all int64
	for _, part := range parts {
		all += part
	}
	return all
}

func measureLocks(h harness) {
	measure := func(name string, use func(contenders int64) int64) {
		for _, contenders := range []int64{1, 100, 10_000} {
			m := measurement{fmt.Sprint(name, contenders), contenders, visitsOfAll, visitsOfAll}
			h.measure(m, func() int64 { return use(contenders) })
		}
	}
	measure("Mutex", useMutex)
	measure("SharedMutex", useSharedMutex)
	measure("Semaphore", useSemaphore)
}
