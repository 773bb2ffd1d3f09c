package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// As ../harness.h: warm up, repeat, check, and print one line of JSON for each repetition.

type measurement struct {
	name        string
	size        int64
	operations  int64
	rightAnswer int64
}

type harness struct {
	threads     int
	repetitions int
	names       []string
}

func newHarness() harness {
	if len(os.Args) >= 3 {
		threads, _ := strconv.Atoi(os.Args[1])
		repetitions, _ := strconv.Atoi(os.Args[2])
		if threads >= 1 && repetitions >= 1 {
			return harness{threads, repetitions, os.Args[3:]}
		}
	}
	fail(fmt.Sprintf("usage: %s THREADS REPETITIONS [NAME...]", os.Args[0]))
	panic("not reached")
}

func (h harness) wants(name string) bool {
	for _, wanted := range h.names {
		if wanted == name {
			return true
		}
	}
	return len(h.names) == 0
}

func (h harness) measure(m measurement, work func() int64) {
	var answer int64
	h.measureBetween(m, func() {}, func() { answer = work() }, func() int64 { return answer })
}

// The same with something before and after that does not count.
func (h harness) measureBetween(m measurement, prepare func(), work func(), answer func() int64) {
	if !h.wants(m.name) {
		return
	}
	for i := 0; i <= h.repetitions; i++ {
		prepare()
		begin := time.Now()
		work()
		nanos := time.Since(begin).Nanoseconds()
		m.check(answer())
		if i > 0 {
			h.print(m, nanos, "")
		}
	}
}

func (h harness) print(m measurement, nanos int64, more string) {
	fmt.Printf(`{"peer":"go","name":"%s","threads":%d,"size":%d,"operations":%d,"ns_per_op":%.3f,"answer":%d%s}`+"\n",
		m.name, h.threads, m.size, m.operations, float64(nanos)/float64(m.operations), m.rightAnswer, more)
}

func (m measurement) check(answer int64) {
	if answer != m.rightAnswer {
		fail(fmt.Sprintf("go: %s of %d gives %d, and should give %d", m.name, m.size, answer, m.rightAnswer))
	}
}

func fail(sentence string) {
	fmt.Fprintln(os.Stderr, sentence)
	os.Exit(1)
}

// Resident memory of this process.
func residentBytes() int64 {
	var total, resident int64
	statm, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(statm), &total, &resident)
	}
	if err != nil {
		fail(err.Error())
	}
	return resident * int64(os.Getpagesize())
}
