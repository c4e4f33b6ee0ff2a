module provision.lab/pause

go 1.26.0
