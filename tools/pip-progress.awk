# Shows pip's output as one line that is overwritten: the number of packages so far and the current one. Errors stay.
# Where the output is no terminal, only the errors and the last line are written, without escape codes.
function show(text) {
    if (terminal) { printf "\r    %s\033[K", text; fflush() }
}
function count() { return n == 1 ? "1 package" : n " packages" }
BEGIN { n = 0; terminal = system("test -t 1") == 0 }
/^(Collecting|Processing) / {
    n++
    sub(/.*\//, "", $2)
    show(count() ": " $2)
}
/^Installing / { show(count() ": unpacking") }
/^ERROR/ { print terminal ? "\r" $0 "\033[K" : $0 }
END { show(""); print "    " count() }
