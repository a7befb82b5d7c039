/* Sends the same bytes to many sockets; recipients.py says how it is called, and does the same where this is not built. */

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Send to sockets[first], sockets[first + 1] and so on, as long as each takes all.
 * Return the index of the one that did not, and in *taken how many bytes it took (0 if it refused); else `count`. */
size_t send_to_each(const int *sockets, size_t first, size_t count, const char *data, size_t size, size_t *taken)
{
    for (size_t index = first; index < count; index++) {
        ssize_t sent = send(sockets[index], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent != (ssize_t)size) {
            *taken = sent > 0 ? (size_t)sent : 0;
            return index;
        }
    }
    return count;
}
