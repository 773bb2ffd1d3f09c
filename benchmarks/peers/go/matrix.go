package main

// As ../../work/matrix.h: the same matrices, leaves and checksum.

const (
	leafSize = 32
	modulus  = 1_000_000_007
)

func valueOfA(row, column int) int32     { return int32((3*row + 5*column) % 7) }
func valueOfB(row, column int) int32     { return int32((2*row + 11*column) % 5) }
func rowWeight(row int) uint64           { return uint64(row) + 1 }
func columnWeight(column int) uint64     { return 2*uint64(column) + 1 }
func (p product) at(row, column int) int { return (row*p.stride + column) * p.size / 2 }

// What is still to be multiplied: c += a * b, squares of size inside rows of stride numbers.
type product struct {
	a, b, c      []int32
	size, stride int
}

// Into each quarter of c: column inner of the quarters of a, by row inner of those of b.
func (p product) quarters(inner int) [4]product {
	var parts [4]product
	for row := 0; row < 2; row++ {
		for column := 0; column < 2; column++ {
			parts[row*2+column] = product{
				p.a[p.at(row, inner):], p.b[p.at(inner, column):], p.c[p.at(row, column):], p.size / 2, p.stride}
		}
	}
	return parts
}

func (p product) multiply() {
	for i := 0; i < p.size; i++ {
		c := p.c[i*p.stride : i*p.stride+p.size]
		for k := 0; k < p.size; k++ {
			a := p.a[i*p.stride+k]
			b := p.b[k*p.stride : k*p.stride+p.size]
			for j := range c {
				c[j] += a * b[j]
			}
		}
	}
}

func newProduct(size int) product {
	p := product{make([]int32, size*size), make([]int32, size*size), make([]int32, size*size), size, size}
	for i := 0; i < size; i++ {
		for j := 0; j < size; j++ {
			p.a[i*size+j] = valueOfA(i, j)
			p.b[i*size+j] = valueOfB(i, j)
		}
	}
	return p
}

func (p product) leaves() int64 {
	across := int64(p.size / leafSize)
	return across * across * across
}

func (p product) checksum() int64 {
	var sum uint64
	for i := 0; i < p.size; i++ {
		var row uint64
		for j := 0; j < p.size; j++ {
			row += uint64(p.c[i*p.size+j]) * columnWeight(j)
		}
		sum += rowWeight(i) * row
	}
	return int64(sum % modulus)
}

func rightChecksum(size int) int64 {
	var sum uint64
	for k := 0; k < size; k++ {
		var ofA, ofB uint64
		for i := 0; i < size; i++ {
			ofA += rowWeight(i) * uint64(valueOfA(i, k))
			ofB += uint64(valueOfB(k, i)) * columnWeight(i)
		}
		sum += ofA * ofB
	}
	return int64(sum % modulus)
}
