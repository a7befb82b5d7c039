# Shows pip's output as one line that moves: how many packages there are so far, and which one it is at. Errors stay.
/^(Collecting|Processing) / {
    n++
    sub(/.*\//, "", $2)
    printf "\r    %d packages: %s\033[K", n, $2
    fflush()
}
/^Installing / { printf "\r    %d packages: unpacking\033[K", n; fflush() }
/^ERROR/ { print "\r" $0 "\033[K" }
END { printf "\r    %d packages\033[K\n", n }
