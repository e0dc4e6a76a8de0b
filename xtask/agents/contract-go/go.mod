module contract-go

go 1.21
