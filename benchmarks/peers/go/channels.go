package main

import "sync"

// As ../../channel_benchmark.cc: values through channels, and selects.

const values = 400_000

// ---- Values from some goroutines to as many others.

func produce(channel chan<- int64, count int64, producers *sync.WaitGroup) {
	for i := int64(1); i <= count; i++ {
		channel <- i
	}
	producers.Done()
}

func consume(channel <-chan int64, sum chan<- int64) {
	var all int64
	for value := range channel {
		all += value
	}
	sum <- all
}

func manyToMany(capacity, pairs int) int64 {
	channel := make(chan int64, capacity)
	sums := make(chan int64, pairs)
	var producers sync.WaitGroup
	producers.Add(pairs)
	for i := 0; i < pairs; i++ {
		go consume(channel, sums)
		go produce(channel, values/int64(pairs), &producers)
	}
	producers.Wait()
	close(channel)
	var all int64
	for i := 0; i < pairs; i++ {
		all += <-sums
	}
	return all
}

func sumOfValues(pairs int64) int64 {
	each := values / pairs
	return pairs * each * (each + 1) / 2
}

// ---- Ping-pong through a rendezvous.

func playByRendezvous(mine <-chan int64, other chan<- int64, first bool, played chan<- int64) {
	if first {
		other <- 0
	}
	count := int64(0)
	for ; count < rounds; count++ {
		<-mine
		if count+1 < rounds || !first {
			other <- count
		}
	}
	played <- count
}

func rendezvousPingPong() int64 {
	ping, pong := make(chan int64), make(chan int64)
	played := make(chan int64, 2)
	go playByRendezvous(ping, pong, true, played)
	go playByRendezvous(pong, ping, false, played)
	return <-played + <-played
}

// ---- Selects.

func selectOfTwo() int64 {
	a, b := make(chan int64, 1), make(chan int64, 1)
	both := [2]chan int64{a, b}
	var sum int64
	for i := 0; i < rounds; i++ {
		both[i%2] <- 1
		select {
		case value := <-a:
			sum += value
		case value := <-b:
			sum += value
		}
	}
	return sum
}

func selectOfEight() int64 {
	var all [8]chan int64
	for i := range all {
		all[i] = make(chan int64, 1)
	}
	a, b, c, d, e, f, g, h := all[0], all[1], all[2], all[3], all[4], all[5], all[6], all[7]
	var sum int64
	for i := 0; i < rounds; i++ {
		all[i%8] <- 1
		select {
		case value := <-a:
			sum += value
		case value := <-b:
			sum += value
		case value := <-c:
			sum += value
		case value := <-d:
			sum += value
		case value := <-e:
			sum += value
		case value := <-f:
			sum += value
		case value := <-g:
			sum += value
		case value := <-h:
			sum += value
		}
	}
	return sum
}

func selectThatWaits() int64 {
	a, b := make(chan int64), make(chan int64)
	both := [2]chan int64{a, b}
	go func() {
		for i := 0; i < rounds; i++ {
			both[i%2] <- 1
		}
	}()
	var sum int64
	for i := 0; i < rounds; i++ {
		select {
		case value := <-a:
			sum += value
		case value := <-b:
			sum += value
		}
	}
	return sum
}

func measureChannels(h harness) {
	h.measure(measurement{"ChannelOneToOne", values, values, sumOfValues(1)}, func() int64 { return manyToMany(64, 1) })
	h.measure(measurement{"ChannelFourToFour", values, values, sumOfValues(4)}, func() int64 { return manyToMany(64, 4) })
	h.measure(measurement{"RendezvousOneToOne", values, values, sumOfValues(1)}, func() int64 { return manyToMany(0, 1) })
	h.measure(measurement{"RendezvousPingPong", rounds, 2 * rounds, 2 * rounds}, rendezvousPingPong)
	h.measure(measurement{"SelectOfTwo", rounds, rounds, rounds}, selectOfTwo)
	h.measure(measurement{"SelectOfEight", rounds, rounds, rounds}, selectOfEight)
	h.measure(measurement{"SelectThatWaits", rounds, rounds, rounds}, selectThatWaits)
}
