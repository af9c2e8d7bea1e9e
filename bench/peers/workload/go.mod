module workload

go 1.24.0
