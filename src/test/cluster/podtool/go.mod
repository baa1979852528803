module nodeward/cluster/podtool

go 1.24.0
