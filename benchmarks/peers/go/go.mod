module weft/benchmarks/peers/go

go 1.19
